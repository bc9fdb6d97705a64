//! Benchmarks of a worker: with empty tasks, compared with a bare hyper client of the same scripted server; and with
//! files, compared with a bare `object_store` loop on the same local S3.
//!
//! `cargo xtask bench [--tasks N] [--rounds N] [--slots 1,10,100]`, and
//! `cargo xtask bench files [--mib N] [--objects N] [--rounds N]`. The worker, the bare client and the server are
//! separate processes, measured from the first to the last task. Rounds are interleaved, because on a machine with
//! other load only the ratios are reliable.

mod bare;
mod files;
mod measure;
mod report;
mod server;
mod worker;

use std::env;
use std::process::ExitCode;

use report::{Plan, run};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["server"] => server::serve(),
        ["bare", url, slots, tasks] => number(slots).and_then(|slots| bare::run(url, slots, number(tasks)?)),
        ["worker", url, slots, tasks] => {
            number(slots).and_then(|slots| worker::run(url, slots, number(tasks)?))
        }
        ["files-place", large, many] => number(large).and_then(|large| files::serve(large, number(many)?)),
        [role @ ("files-bare" | "files-worker"), kind, directory, address] => {
            files::client(role, kind, directory, address)
        }
        ["files", options @ ..] => files::FilesPlan::parse(options).and_then(|plan| files::run(&plan)),
        options => Plan::parse(options).and_then(|plan| run(&plan)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            report::print_error(&problem);
            ExitCode::from(2)
        }
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| format!("`{text}` is not a number above 0"))
}
