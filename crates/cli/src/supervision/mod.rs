//! Programs that are started, watched, and ended together with everything that descends from them.
//!
//! ```text
//! this process --starts--> `avtomatika supervise` --starts--> `avtomatika become`, which becomes the program
//! ```
//!
//! The process in the middle adopts what its descendants leave behind, so that nothing escapes: neither with `setsid` nor
//! with a double fork. It takes [orders](Order) from its standard input, a socket, and [reports](End) on it; if that socket
//! is closed, whoever started it is gone, and it ends the program by itself. The program in turn gets SIGTERM if the
//! process in the middle dies.

mod become_program;
mod descendants;
mod message;
mod supervised;
mod supervisor;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

pub(crate) use self::become_program::run as become_program;
pub(crate) use self::message::{End, Order};
pub(crate) use self::supervised::{Progress, Supervised};
pub(crate) use self::supervisor::run as supervise;

/// How this program is started once more.
#[derive(Debug, Clone)]
pub struct Restart {
    program: OsString,
    /// Its name in lists of processes, if that is not the program.
    name: Option<OsString>,
    arguments: Vec<OsString>,
}

impl Restart {
    /// Starts a program with these arguments, to which those of the command are added: for `python -m package dev`,
    /// `python` with `-m` and `package`. It has to hand all of its arguments to [`main`](crate::main).
    pub fn new(
        program: impl Into<OsString>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { program: program.into(), name: None, arguments }
    }

    /// Starts the file of this process, for a binary that does nothing but call [`main`](crate::main).
    pub fn binary() -> Self {
        let none: [OsString; 0] = [];
        if cfg!(target_os = "linux") {
            // The file may be replaced while it runs, by a build; this name still is the program that runs.
            return Self { name: Some("avtomatika".into()), ..Self::new("/proc/self/exe", none) };
        }
        let file = std::env::current_exe().map_or_else(|_| "avtomatika".into(), PathBuf::into_os_string);
        Self::new(file, none)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(name) = &self.name {
            command.arg0(name);
        }
        command.args(&self.arguments);
        command
    }
}

/// Set once, by [`main`](crate::main).
static RESTART: OnceLock<Restart> = OnceLock::new();

/// Says how this program is started once more. What was said first counts.
pub(crate) fn restart_with(restart: Restart) {
    let _ = RESTART.set(restart);
}

/// Returns the command that starts this program once more.
fn this_program() -> Command {
    RESTART.get_or_init(Restart::binary).command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_program_is_started_with_its_own_arguments_first() {
        let mut command = Restart::new("python3", ["-m", "package"]).command();
        command.args(["supervise", "--", "x"]);
        let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
        assert_eq!(words, ["python3", "-m", "package", "supervise", "--", "x"]);
    }

    #[test]
    fn the_binary_starts_itself() {
        let output =
            Restart::new("sh", ["-c", "echo $0 $1", "a"]).command().arg("b").output().expect("a shell");
        assert_eq!(output.stdout, b"a b\n");
        let command = Restart::binary().command();
        assert!(std::path::Path::new(command.get_program()).exists(), "{command:?}");
    }
}
