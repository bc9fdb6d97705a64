//! Benchmarks of a worker, beside bare clients of the same servers.
//!
//! `cargo xtask bench` runs all scenarios, prints their tables, and writes `docs/benchmarks.md`. Workers, clients and
//! servers are separate processes: this program in one of its roles. The rounds of clients that are compared are
//! interleaved, because on a machine with other load only the ratios are reliable.

mod arguments;
mod machine;
mod measure;
mod options;
mod process;
mod report;
mod roles;
mod scenarios;
mod statistics;

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use options::Options;
use report::{Report, print_line, progress};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let played = words.split_first().and_then(|(role, arguments)| roles::play(role, arguments));
    match played.unwrap_or_else(|| run(&words)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            report::print_error(&problem);
            ExitCode::from(2)
        }
    }
}

/// Runs the scenarios, and reports.
fn run(words: &[&str]) -> Result<(), String> {
    let options = Options::parse(words)?;
    let facts = machine::facts(&options);
    print_line(&facts.text());
    let began = Instant::now();
    let mut sections = Vec::new();
    for scenario in options.scenarios() {
        progress(&format!("{} ({} s so far)", scenario.name, began.elapsed().as_secs()));
        let section = (scenario.run)(&options).map_err(|problem| format!("{}: {problem}", scenario.name))?;
        section.print();
        sections.push(section);
    }
    progress(&format!("done in {} s", began.elapsed().as_secs()));
    match &options.report {
        Some(directory) => Report { facts, sections }.write(directory),
        None => Ok(()),
    }
}
