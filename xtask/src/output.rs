//! Output for the person who runs the command: on standard error, like that of cargo.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "the only place that prints")]

use std::io::{self, Write};
use std::time::Duration;

/// Prints a line on standard error, with a prefix that distinguishes it from the output of other programs.
pub(crate) fn print_line(text: &str) {
    eprintln!("xtask: {}", text.trim_end());
}

/// Prints the output of a program that ran beside others, in one piece.
pub(crate) fn print_output(parts: &[&[u8]]) {
    let mut errors = io::stderr().lock();
    for part in parts {
        // An error means that the output is no longer read.
        let _ = errors.write_all(part);
    }
}

/// Prints requested output, such as the usage, on standard output.
pub(crate) fn print_to_stdout(text: &str) {
    print!("{text}");
}

/// Formats a duration for people.
pub(crate) fn readable(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        assert_eq!(readable(Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(readable(Duration::from_secs(125)), "2 min 05 s");
    }
}
