//! Whether another worker goes by the same id. Pure.
//!
//! An orchestrator that tells which tasks it takes this worker to run (1.0b2 does, in its answers to heartbeats) names
//! those of the other one, too.

/// Foreign tasks in so many answers are no coincidence.
const ENOUGH: usize = 3;

/// Looks for tasks that are not ours.
#[derive(Debug, Default)]
pub(super) struct Namesake {
    /// What the last two heartbeats told: an answer may be one behind.
    told: [Vec<String>; 2],
    foreign: usize,
}

impl Namesake {
    /// A heartbeat is about to tell that these run.
    pub(super) fn told(&mut self, ids: Vec<String>) {
        self.told.swap(0, 1);
        self.told[0] = ids;
    }

    /// An answer says that these run; `runs` knows what does by now. Gives one that is not ours, once that is worth a
    /// warning, and never again.
    pub(super) fn heard<'a>(&mut self, named: &'a [String], runs: impl Fn(&str) -> bool) -> Option<&'a str> {
        let is_foreign = |id: &&String| !runs(id) && !self.told.iter().any(|told| told.contains(id));
        let foreign = named.iter().find(is_foreign)?;
        self.foreign += 1;
        (self.foreign == ENOUGH).then_some(foreign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_tasks_are_worth_a_warning_once_and_our_own_never() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let mut namesake = Namesake::default();
        namesake.told(ids(&["ended-before-last"]));
        namesake.told(ids(&["ended"]));
        for _ in 0..10 {
            let own = ids(&["ended-before-last", "ended", "runs"]);
            assert_eq!(namesake.heard(&own, |id| id == "runs"), None);
        }
        let both = ids(&["runs", "theirs"]);
        let said = (0..10).map(|_| namesake.heard(&both, |id| id == "runs"));
        assert_eq!(
            said.collect::<Vec<_>>(),
            [None, None, Some("theirs")].into_iter().chain([None; 7]).collect::<Vec<_>>()
        );
    }
}
