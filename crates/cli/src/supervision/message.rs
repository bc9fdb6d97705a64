//! The messages between this process and the one that supervises a program: a line of text each.

use std::fmt::{self, Display};

use rustix::process::Signal;

/// A message to the supervising process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Send SIGTERM to the process group of the program.
    Terminate,
    /// Send SIGKILL to everything that descends from it.
    Kill,
    /// Suspend everything that descends from it: SIGSTOP.
    Suspend,
    /// Let it go on: SIGCONT.
    Resume,
}

impl Order {
    const ALL: [Self; 4] = [Self::Terminate, Self::Kill, Self::Suspend, Self::Resume];

    /// The line without its end.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Terminate => "terminate",
            Self::Kill => "kill",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
        }
    }

    /// Reads a line. Unknown ones are none.
    pub(super) fn parse(line: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.as_str() == line)
    }
}

/// The end of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It ended with this exit code.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
}

impl End {
    /// Returns the line without its end.
    pub(super) fn line(self) -> String {
        match self {
            Self::Exited(code) => format!("exited {code}"),
            Self::Killed(signal) => format!("killed {signal}"),
        }
    }

    /// Reads a line.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (word, number) = line.split_once(' ')?;
        let number = number.parse().ok()?;
        match word {
            "exited" => Some(Self::Exited(number)),
            "killed" => Some(Self::Killed(number)),
            _ => None,
        }
    }
}

impl Display for End {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(formatter, "exited with code {code}"),
            Self::Killed(signal) => match name(*signal) {
                Some(name) => write!(formatter, "killed by {name}"),
                None => write!(formatter, "killed by signal {signal}"),
            },
        }
    }
}

fn name(signal: i32) -> Option<&'static str> {
    let names = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::XFSZ, "SIGXFSZ"),
        (Signal::SYS, "SIGSYS"),
    ];
    names.into_iter().find(|(known, _)| known.as_raw() == signal).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written() {
        for order in Order::ALL {
            assert_eq!(Order::parse(order.as_str()), Some(order));
        }
        for end in [End::Exited(3), End::Killed(9)] {
            assert_eq!(End::parse(&end.line()), Some(end));
        }
        assert_eq!((Order::parse("dance"), End::parse("exited x")), (None, None));
    }

    #[test]
    fn signals_are_named() {
        assert_eq!(End::Killed(9).to_string(), "killed by SIGKILL");
        assert_eq!(End::Killed(63).to_string(), "killed by signal 63");
        assert_eq!(End::Exited(3).to_string(), "exited with code 3");
    }
}
