//! Becoming a program that ends with its parent.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::anyhow;

use crate::args::Program;
use crate::exit::{Exit, Failure};
use crate::output::Printer;

/// Becomes the program. Returns only if it cannot, with the exit code that a shell has for that.
pub(crate) fn run(program: &Program, printer: &Printer) -> Result<Exit, Failure> {
    end_with_parent(program.parent)?;
    let Some((name, arguments)) = program.command.split_first() else {
        return Err(Failure::usage(anyhow!("there is no command")));
    };
    let error = Command::new(name).args(arguments).exec();
    let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    let name = name.to_string_lossy().into_owned();
    printer.error(&anyhow::Error::from(error).context(format!("cannot start `{name}`")));
    Ok(Exit::NotStarted(code))
}

/// Has SIGTERM sent to this process, and to what it becomes, when its parent dies.
#[cfg(target_os = "linux")]
fn end_with_parent(parent: Option<i32>) -> Result<(), Failure> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    let is_orphan = parent
        .is_some_and(|parent| rustix::process::getppid().is_none_or(|found| found.as_raw_pid() != parent));
    // It may have died before it was watched.
    if is_orphan { Err(anyhow!("the process that started this one is gone").into()) } else { Ok(()) }
}

#[cfg(not(target_os = "linux"))]
fn end_with_parent(_parent: Option<i32>) -> Result<(), Failure> {
    Ok(())
}
