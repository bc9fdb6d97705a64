//! The commands, one module for each.

mod cancel;
mod completions;
mod config;
mod demo;
mod dev;
mod drill;
mod help;
mod logs;
mod retry;
mod submit;
mod task;
mod tasks;
mod waiting;
mod watch;
mod workers;

use anyhow::Context;

use crate::args::{Args, Command};
use crate::exit::{Exit, Failure};
use crate::output::Printer;
use crate::supervision;

/// Runs the command in the arguments.
pub(crate) fn run(args: Args, printer: &Printer) -> Result<Exit, Failure> {
    let global = &args.global;
    match args.command {
        Command::Dev(dev) => dev::run(&dev, printer),
        Command::Submit(submit) => online(submit::run(&submit, global, printer)),
        Command::Tasks(tasks) => online(tasks::run(&tasks, global, printer)),
        Command::Task(task) => online(task::run(&task, global, printer)),
        Command::Logs(logs) => online(logs::run(&logs, global, printer)),
        Command::Workers(_) => online(workers::run(global, printer)),
        Command::Watch(watch) => online(watch::run(&watch, global, printer)),
        Command::Cancel(cancel) => online(cancel::run(&cancel, global, printer)),
        Command::Retry(retry) => online(retry::run(&retry, global, printer)),
        Command::Drill(drill) => drill::run(&drill, printer),
        Command::Config(_) => config::run(printer),
        Command::Demo(demo) => demo::run(&demo, printer),
        Command::Completions(completions) => completions::run(completions.shell, printer),
        Command::Help(help) => help::run(&help.topic, printer),
        Command::Supervise(program) => supervision::supervise(&program),
        Command::Become(program) => supervision::become_program(&program, printer),
    }
}

/// Runs a command that talks to a server.
fn online(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(command)
}
