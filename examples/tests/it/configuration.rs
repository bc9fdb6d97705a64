//! `docs/configuration.md` holds the table of all options as the code has it.

use avtomatika_worker::WorkerConfig;
use avtomatika_worker::config::{OPTIONS, OptionInfo};

use crate::{file, read};

const DOCUMENT: &str = "docs/configuration.md";

const BEGIN: &str = "<!-- options: made from `OPTIONS`, see CONTRIBUTING.md -->\n";

const END: &str = "<!-- end of options -->\n";

#[test]
fn the_table_of_options_is_the_one_in_the_code() {
    let document = read(DOCUMENT);
    let (before, rest) = document.split_once(BEGIN).expect("the table has a beginning");
    let (table, after) = rest.split_once(END).expect("the table has an end");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let updated = format!("{before}{BEGIN}{}{END}{after}", rendered());
        std::fs::write(file(DOCUMENT), updated).expect("the document can be written");
        return;
    }
    assert_eq!(
        table,
        rendered(),
        "`{DOCUMENT}` is out of date; refresh it: UPDATE_DOCS=1 cargo test -p avtomatika-examples --test it"
    );
}

fn rendered() -> String {
    let rows: Vec<String> = OPTIONS.iter().map(row).collect();
    format!("\n| variable | default | value | meaning |\n|---|---|---|---|\n{}\n", rows.concat())
}

fn row(option: &OptionInfo) -> String {
    let missing = if option.supported { "" } else { " **Not supported yet.**" };
    let (default, meaning) = (cell(option.default), cell(option.meaning.trim()));
    format!("| `{}` | {default} | {} | {meaning}{missing} |\n", option.variable, cell(&expected(option)))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// What a value has to be: what is said of one that is not.
fn expected(option: &OptionInfo) -> String {
    if ["_PATH", "_DIR"].iter().any(|end| option.variable.ends_with(end)) {
        return "a path".to_owned();
    }
    // Neither is anything but text, and the second is no list.
    ["?", "{}"].iter().find_map(|value| said(option, value)).unwrap_or_else(|| "text".to_owned())
}

fn said(option: &OptionInfo, value: &str) -> Option<String> {
    let config = WorkerConfig::from_variables([(option.variable.to_owned(), value.to_owned())]);
    let error = config.check().err();
    let problem = error.and_then(|error| error.problems().first().map(|problem| problem.expected.clone()));
    let prefix = format!("`{}` is ignored, expected ", option.variable);
    let warning = || config.warnings().iter().find_map(|text| Some(text.strip_prefix(&prefix)?.to_owned()));
    // Where in the text JSON is wrong says nothing about the option.
    problem.or_else(warning).map(|text| text.split(" (").next().unwrap_or_default().to_owned())
}
