//! Whether an orchestrator is up or down. Pure.
//!
//! | sign | up | down |
//! |---|---|---|
//! | [`Contact::Well`] | the failures are forgotten | up |
//! | [`Contact::Failed`] | down at the third in a row | |
//! | [`Contact::Gone`] | down | |
//!
//! Registrations, heartbeats and polls give signs; 429, refused credentials and a malformed task give none.

use crate::peer::answer::Contact;

/// So many failures in a row mean that an orchestrator is down.
const FAILURES_OF_DOWN: u32 = 3;

/// One orchestrator's health.
#[derive(Debug, Default)]
pub(super) struct ContactHistory {
    /// In a row.
    failures: u32,
    down: bool,
}

impl ContactHistory {
    pub(super) fn is_down(&self) -> bool {
        self.down
    }

    /// Takes a sign. True when the orchestrator is up or down otherwise than before.
    pub(super) fn on(&mut self, contact: Contact) -> bool {
        let down = match contact {
            Contact::Well => {
                self.failures = 0;
                false
            }
            Contact::Failed => {
                self.failures = self.failures.saturating_add(1);
                self.down || self.failures >= FAILURES_OF_DOWN
            }
            Contact::Gone => true,
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
        let mut health = ContactHistory::default();
        for contact in [Contact::Failed, Contact::Failed, Contact::Well, Contact::Failed, Contact::Failed] {
            assert!(!health.on(contact), "not in a row");
        }
        assert!(health.on(Contact::Failed) && health.is_down());
        assert!(!health.on(Contact::Failed) && !health.on(Contact::Gone), "it is no news");
        assert!(health.on(Contact::Well) && !health.is_down());
        assert!(health.on(Contact::Gone) && health.is_down());
    }
}
