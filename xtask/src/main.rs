//! The commands of the workspace: `cargo xtask` without arguments lists them.

mod apt;
mod bench;
mod browser;
mod check;
mod checks;
mod counts;
mod e2e;
mod environment;
mod failure;
mod output;
mod package;
mod peers;
mod python;
mod redis;
mod registry;
mod setup;
mod steps;
mod test;
mod user;
mod valgrind;
mod vendor;
mod verify;
mod workspace;

use std::env;
use std::process::ExitCode;

use failure::{Failure, Result};
use workspace::Workspace;

const USAGE: &str = "\
Usage: cargo xtask <COMMAND>

Commands:
  test [--no-e2e] [FILTER…]  Install the needed tools, then check and test everything, or run the tests that match
  verify                     Check everything that needs no tests, with cargo-deny and cargo-hack
  e2e [FILTER…]              Run the worker against the real orchestrators
  check                      Check the rules of the workspace that cargo does not check; takes a second
  python [ARGUMENT…]         Build, check and test the Python package; arguments are passed to pytest
  setup                      Install the real orchestrators, an S3 and Python's tools into `target/venvs`, and a browser
  vendor                     Compare the libraries of the page with those of the npm registry
  bench [OPTION…]            Run all benchmarks, and write `docs/benchmarks.md`:
    --quick                    fewer rounds, tasks and numbers of slots: 3 minutes instead of 15
    --only SCENARIO            print one of the scenarios, without writing the report; may be repeated: throughput, log,
                               outbox, latency, start, idle, busy, growth, million, files, dev, python, page
    --rounds N, --tasks N, --slots 1,10,100
                               rounds, tasks of a client in a round, numbers of slots
    --mib N, --objects N       the size of the large object and the number of small ones of `files`
    --profile PROFILE          the profile of cargo: `dist`, as it is distributed (the default), or `release`
  counts [--update] [NAME…]  Count instructions, and compare them with `xtask/counts.json`, or record them there
";

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let verb = arguments.next().unwrap_or_default();
    match run(&verb, &arguments.collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_printed() {
                output::print_line(&failure.to_string());
            }
            ExitCode::from(failure.code())
        }
    }
}

fn run(verb: &str, arguments: &[String]) -> Result {
    match verb {
        "test" => test::run(&Workspace::load()?, arguments),
        "verify" => expect_none(arguments).and_then(|()| verify::run(&Workspace::load()?)),
        "e2e" => e2e::run(&Workspace::load()?, arguments),
        "check" => expect_none(arguments).and_then(|()| check::run(&Workspace::load()?)),
        "python" => package::run(&Workspace::load()?, arguments),
        "setup" => expect_none(arguments).and_then(|()| setup::run(&Workspace::load()?)),
        "vendor" => expect_none(arguments).and_then(|()| vendor::run(&Workspace::load()?)),
        "bench" => bench::run(&Workspace::load()?, arguments),
        "counts" => counts::run(&Workspace::load()?, arguments),
        "help" | "-h" | "--help" => {
            output::print_to_stdout(USAGE);
            Ok(())
        }
        "" => Err(Failure::usage(USAGE.to_owned())),
        unknown => Err(Failure::usage(format!("unknown command `{unknown}`\n\n{USAGE}"))),
    }
}

fn expect_none(arguments: &[String]) -> Result {
    match arguments {
        [] => Ok(()),
        [first, ..] => Err(Failure::usage(format!("unexpected argument `{first}`\n\n{USAGE}"))),
    }
}
