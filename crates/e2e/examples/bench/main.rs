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
    let (mut sections, mut failed) = (Vec::new(), Vec::new());
    for scenario in options.scenarios() {
        progress(&format!("{} ({} s so far)", scenario.name, began.elapsed().as_secs()));
        match (scenario.run)(&options) {
            Ok(section) => {
                section.print();
                sections.push(section);
            }
            // The figures of the others would be lost.
            Err(problem) => {
                report::print_error(&format!("{}: {problem}", scenario.name));
                failed.push(scenario.name);
            }
        }
    }
    progress(&format!("done in {} s", began.elapsed().as_secs()));
    if !failed.is_empty() {
        // Nor is the report replaced by one without them.
        return Err(format!("failed, so that no report is written: {}", failed.join(", ")));
    }
    match &options.report {
        Some(directory) => Report { facts, sections }.write(directory),
        None => Ok(()),
    }
}
