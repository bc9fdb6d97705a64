//! When a worker that has ended is started again.

use std::time::Duration;

use crate::supervision::End;

/// The delay after the first end.
const FIRST: Duration = Duration::from_secs(1);

/// The longest delay.
const LONGEST: Duration = Duration::from_secs(30);

/// A worker that ran for this long starts over with the first delay.
const STABLE: Duration = Duration::from_secs(10);

/// The delays of one worker.
#[derive(Debug)]
pub(super) struct Restarts {
    delay: Duration,
}

/// What follows the end of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It is started again after this time, or at once when a watched file changes.
    After(Duration),
    /// It would end the same way again: it is started when a watched file changes. The word is the reason.
    OnChange(&'static str),
}

impl Restarts {
    /// Begins with the first delay.
    pub(super) fn new() -> Self {
        Self { delay: FIRST }
    }

    /// Decides after an end.
    pub(super) fn after(&mut self, end: End, ran_for: Duration) -> Next {
        match end {
            End::Exited(2) => return Next::OnChange("configuration"),
            // The codes of shells, and of `avtomatika become`.
            End::Exited(126) => return Next::OnChange("not executable"),
            End::Exited(127) => return Next::OnChange("not found"),
            End::Exited(_) | End::Killed(_) => {}
        }
        if ran_for >= STABLE {
            self.delay = FIRST;
        }
        let delay = self.delay;
        self.delay = (delay * 2).min(LONGEST);
        Next::After(delay)
    }
}

impl Next {
    /// Returns the sentence for people.
    pub(super) fn sentence(self, end: End) -> String {
        match self {
            Self::After(delay) => format!("{end}, starting again in {} s", delay.as_secs()),
            Self::OnChange(reason) => {
                format!("{end} ({reason}): not started again until a watched file changes")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_half_a_minute_and_starts_over_after_a_long_run() {
        let mut restarts = Restarts::new();
        let mut after = |seconds| match restarts.after(End::Exited(0), Duration::from_secs(seconds)) {
            Next::After(delay) => delay.as_secs(),
            Next::OnChange(reason) => panic!("{reason}"),
        };
        let delays: Vec<u64> = [0, 0, 9, 0, 0, 0, 0, 10, 0].map(&mut after).into();
        assert_eq!(delays, [1, 2, 4, 8, 16, 30, 30, 1, 2]);
    }

    #[test]
    fn what_would_fail_again_waits_for_a_change() {
        let mut restarts = Restarts::new();
        for (code, reason) in [(2, "configuration"), (126, "not executable"), (127, "not found")] {
            let next = restarts.after(End::Exited(code), Duration::ZERO);
            assert_eq!(next, Next::OnChange(reason));
        }
        let end = End::Exited(2);
        assert_eq!(
            Next::OnChange("configuration").sentence(end),
            "exited with code 2 (configuration): not started again until a watched file changes"
        );
        assert_eq!(
            Next::After(Duration::from_secs(2)).sentence(End::Killed(9)),
            "killed by SIGKILL, starting again in 2 s"
        );
    }
}
