//! What is said to the person who runs this: all of it on standard error, where cargo speaks too.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "the one place that speaks")]

use std::io::{self, Write};
use std::time::Duration;

/// A line of ours, told apart from those of the programs we run.
pub(crate) fn say(text: &str) {
    eprintln!("xtask: {}", text.trim_end());
}

/// The output of a program that ran beside others, in one piece.
pub(crate) fn show_whole(parts: &[&[u8]]) {
    let mut errors = io::stderr().lock();
    for part in parts {
        // Nobody reads it any more: then nothing is left to be said.
        let _ = errors.write_all(part);
    }
}

/// What was asked for, such as the usage.
pub(crate) fn show(text: &str) {
    print!("{text}");
}

/// A duration as people read it.
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
