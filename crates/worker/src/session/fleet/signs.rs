//! Whether an orchestrator is up or down. Pure.
//!
//! | sign | up | down |
//! |---|---|---|
//! | [`Sign::Well`] | the failures are forgotten | up |
//! | [`Sign::Failed`] | down at the third in a row | |
//! | [`Sign::Gone`] | down | |
//!
//! Registrations, heartbeats and polls give signs; 429, refused credentials and a malformed task give none.

use rxon::{Error, ErrorKind};

/// So many failures in a row mean that an orchestrator is down.
const FAILURES_OF_DOWN: u32 = 3;

/// What an exchange says of an orchestrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It answered as it should.
    Well,
    /// It answered something else, or hung up.
    Failed,
    /// Nobody is there, or does not answer what is answered at once.
    Gone,
}

impl Sign {
    /// What it says that an exchange failed. A poll may be held for longer than we wait: that is one failure.
    pub(crate) fn of(error: &Error, is_poll: bool) -> Self {
        match error.kind() {
            ErrorKind::Timeout if is_poll => Self::Failed,
            ErrorKind::Connect | ErrorKind::Tls | ErrorKind::Proxy | ErrorKind::Timeout => Self::Gone,
            _ => Self::Failed,
        }
    }
}

/// One orchestrator's health.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// In a row.
    failures: u32,
    down: bool,
}

impl Health {
    pub(super) fn is_down(&self) -> bool {
        self.down
    }

    /// Takes a sign. True when the orchestrator is up or down otherwise than before.
    pub(super) fn on(&mut self, sign: Sign) -> bool {
        let down = match sign {
            Sign::Well => {
                self.failures = 0;
                false
            }
            Sign::Failed => {
                self.failures = self.failures.saturating_add(1);
                self.down || self.failures >= FAILURES_OF_DOWN
            }
            Sign::Gone => true,
        };
        std::mem::replace(&mut self.down, down) != down
    }

    /// Nobody looks after it any more, so nothing is known.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_in_a_row_or_nobody_there_is_down() {
        let mut health = Health::default();
        for sign in [Sign::Failed, Sign::Failed, Sign::Well, Sign::Failed, Sign::Failed] {
            assert!(!health.on(sign), "not in a row");
        }
        assert!(health.on(Sign::Failed) && health.is_down());
        assert!(!health.on(Sign::Failed) && !health.on(Sign::Gone), "it is no news");
        assert!(health.on(Sign::Well) && !health.is_down());
        assert!(health.on(Sign::Gone) && health.is_down());
    }

    #[test]
    fn a_held_poll_that_is_given_up_is_one_failure_and_a_held_heartbeat_the_end() {
        let timeout = Error::new(ErrorKind::Timeout, "");
        assert_eq!((Sign::of(&timeout, true), Sign::of(&timeout, false)), (Sign::Failed, Sign::Gone));
        assert_eq!(Sign::of(&Error::new(ErrorKind::Connect, ""), true), Sign::Gone);
        assert_eq!(Sign::of(&Error::new(ErrorKind::Closed, ""), false), Sign::Failed);
    }
}
