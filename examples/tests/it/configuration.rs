//! `docs/configuration.md` has the same table of options as the code.

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
    let groups = OPTIONS.chunk_by(|one, next| one.group == next.group);
    groups.map(group).collect::<Vec<_>>().concat() + "\n"
}

fn group(options: &[OptionInfo]) -> String {
    let rows: String = options.iter().map(row).collect();
    format!(
        "\n### {}\n\n| variable | default | what is accepted | meaning |\n|---|---|---|---|\n{rows}",
        options[0].group
    )
}

fn row(option: &OptionInfo) -> String {
    let feature =
        option.feature.map(|feature| format!(" Needs the feature `{feature}`.")).unwrap_or_default();
    let [default, accepts, meaning] = [option.default, option.accepts, option.meaning].map(cell);
    format!("| `{}` | {default} | {accepts} | {meaning}{feature} |\n", option.variable)
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
