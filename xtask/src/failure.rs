//! The failure of a command, and its exit code.

use std::fmt;
use std::process::ExitStatus;

pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
    is_printed: bool,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1, is_printed: false }
    }

    /// A failure caused by wrong arguments.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 2, is_printed: false }
    }

    /// A failure of a program, whose exit code becomes ours.
    pub(crate) fn of_program(message: impl Into<String>, status: ExitStatus) -> Self {
        let code = status.code().and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0);
        Self { message: message.into(), code: code.unwrap_or(1), is_printed: false }
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// Returns whether the message has been printed.
    pub(crate) fn is_printed(&self) -> bool {
        self.is_printed
    }

    /// Marks the message as printed.
    pub(crate) fn mark_printed(self) -> Self {
        Self { is_printed: true, ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
