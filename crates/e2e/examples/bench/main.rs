//! How fast a worker takes tasks that do nothing, beside a bare hyper client against the same scripted server; and how
//! fast it moves files, beside a bare `object_store` loop against the same local S3.
//!
//! `cargo xtask bench [--tasks N] [--rounds N] [--slots 1,10,100]`, and
//! `cargo xtask bench files [--mib N] [--objects N] [--rounds N]`. Worker, bare client and server are processes of
//! their own, measured between the first and the last task; rounds are interleaved, since only ratios hold on a
//! machine that does other things too.

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
        ["files", options @ ..] => files::Plan::parse(options).and_then(|plan| files::run(&plan)),
        options => Plan::parse(options).and_then(|plan| run(&plan)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            report::complain(&problem);
            ExitCode::from(2)
        }
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| format!("`{text}` is not a number above 0"))
}
