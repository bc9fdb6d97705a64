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

use std::process::Command;

pub(crate) use self::become_program::run as become_program;
pub(crate) use self::message::{End, Order};
pub(crate) use self::supervised::{Progress, Supervised};
pub(crate) use self::supervisor::run as supervise;

/// Returns the command that starts this program once more.
fn this_program() -> std::io::Result<Command> {
    // The file may be replaced while it runs, by a build; on Linux, this name still is the program that runs.
    if cfg!(target_os = "linux") {
        use std::os::unix::process::CommandExt;

        let mut command = Command::new("/proc/self/exe");
        command.arg0("avtomatika");
        return Ok(command);
    }
    std::env::current_exe().map(Command::new)
}
