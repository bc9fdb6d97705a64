//! `config`: the configuration of a worker in the current environment.

use avtomatika_worker::WorkerConfig;
use avtomatika_worker::config::{Effective, OPTIONS};
use serde_json::{Map, Value, json};

use crate::exit::{Exit, Failure};
use crate::output::Printer;

/// Prints the effective configuration, or all problems in it.
pub(crate) fn run(printer: &Printer) -> Result<Exit, Failure> {
    let read = WorkerConfig::from_env();
    for warning in read.warnings() {
        printer.note(format_args!("warning: {warning}"));
    }
    // This program starts no worker with it, and is built without some of the features.
    if let Err(error) = read.check_for_any_build() {
        for problem in error.problems() {
            printer.note(format_args!("error: {problem}"));
        }
        return Ok(Exit::Usage);
    }
    let effective = read.effective();
    if printer.is_json() {
        printer.data(format_args!("{:#}", object(&effective)))?;
    } else {
        printer.data(table(&effective))?;
    }
    Ok(Exit::Success)
}

fn object(effective: &[Effective]) -> Value {
    let rows = effective.iter().map(|row| {
        let value = json!({ "value": row.value, "source": row.source.to_string() });
        (row.option.variable.to_owned(), value)
    });
    Value::Object(rows.collect::<Map<_, _>>())
}

/// Returns an aligned table. Values are in the last column, since some are long.
fn table(effective: &[Effective]) -> String {
    let width = OPTIONS.iter().map(|option| option.variable.len()).max().unwrap_or_default();
    let rows = effective
        .iter()
        .map(|row| format!("{:width$}  {:11}  {}", row.option.variable, row.source, shown(row)));
    rows.collect::<Vec<_>>().join("\n")
}

/// Returns a value on one line; the meaning of a missing value is shown in brackets.
fn shown(row: &Effective) -> String {
    match &row.value {
        Some(value) => value.replace(char::is_control, "\u{fffd}"),
        None => format!("({})", row.option.default.replace('`', "")),
    }
}
