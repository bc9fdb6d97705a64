//! What the figures depend on: the machine, the tools, and the revision.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use crate::options::Options;
use crate::report::Table;

/// The machine, and what was measured on it.
pub(crate) fn facts(options: &Options) -> Table {
    let mut table = Table::new("Measured on", &["what", "which"]);
    let mut row = |what: &str, which: String| table.row([what.to_owned(), which]);
    row("processor", format!("{}, {} cores", processor(), available_parallelism().map_or(0, usize::from)));
    row("memory", memory());
    row("kernel", fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned());
    row("compiler", output("rustc", &["--version"]));
    row("profile", profile());
    let pythons: Vec<String> = options
        .pythons
        .iter()
        .map(|python| output(&python.program.to_string_lossy(), &["--version"]).replace("Python ", ""))
        .collect();
    row("Python", if pythons.is_empty() { "not measured".to_owned() } else { pythons.join(", ") });
    row("revision", revision());
    row("date", output("date", &["-u", "+%Y-%m-%d"]));
    row("command", format!("`{}`", format!("cargo xtask bench {}", options.typed).trim()));
    table
}

/// The profile, after which cargo names the directory of the program.
fn profile() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let profile =
        program.parent().and_then(|examples| examples.parent()).and_then(|target| target.file_name());
    profile.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        text.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
    model.map_or_else(|| "an unknown processor".to_owned(), |(_, model)| model.trim().to_owned())
}

fn memory() -> String {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    let kib = kib.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default();
    format!("{:.0} GiB", kib / f64::from(1 << 20))
}

fn revision() -> String {
    let revision = output("git", &["rev-parse", "--short=10", "HEAD"]);
    // The report itself is not part of what is measured.
    let changes = output("git", &["status", "--porcelain", "--untracked-files=no", "--", ":/", ":!/docs"]);
    if changes.is_empty() { revision } else { format!("{revision}, with changes") }
}

/// The output of a program in one line; nothing if it cannot be run.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().map(|ended| ended.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().replace('\n', " ")
}
