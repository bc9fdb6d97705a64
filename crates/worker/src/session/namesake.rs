//! Detection of another worker with the same id. Pure.
//!
//! Orchestrator 1.0b2 answers heartbeats with what it knows of this worker: the tasks that it runs, which include those of
//! another worker with the same id, and the process that registered last. 1.0b17 shows neither.

/// The number of answers with something foreign that cannot be a coincidence.
const ENOUGH: usize = 3;

/// The number of heartbeats whose tasks an answer may list: three may be unanswered, and each answer may be one behind.
const KEPT: usize = 4;

/// Looks for tasks of another worker with the same id.
#[derive(Debug, Default)]
pub(super) struct Namesake {
    /// The tasks in the last heartbeats, the newest first.
    sent: [Vec<String>; KEPT],
    /// The number of answers with foreign tasks.
    foreign: usize,
    /// The number of answers in a row that name another process.
    others: usize,
}

impl Namesake {
    /// Takes in the tasks of a heartbeat that is about to be sent.
    pub(super) fn on_heartbeat(&mut self, tasks: Vec<String>) {
        self.sent.rotate_right(1);
        self.sent[0] = tasks;
    }

    /// Takes in the process that an answer names. Returns true once, when a warning is due: this process has registered, and
    /// another one has after it.
    pub(super) fn on_instance(&mut self, named: Option<&str>, own: &str) -> bool {
        let Some(named) = named else { return false };
        self.others = if named == own { 0 } else { self.others + 1 };
        self.others == ENOUGH
    }

    /// Takes in the tasks that an answer lists; `runs` tells whether one of them runs here by now. Returns a foreign task
    /// once, when a warning is due.
    pub(super) fn on_answer<'a>(
        &mut self,
        tasks: &'a [String],
        runs: impl Fn(&str) -> bool,
    ) -> Option<&'a str> {
        let is_foreign = |id: &&String| !runs(id) && !self.sent.iter().any(|sent| sent.contains(id));
        let foreign = tasks.iter().find(is_foreign)?;
        self.foreign += 1;
        (self.foreign == ENOUGH).then_some(foreign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_that_registered_later_is_worth_a_warning() {
        let mut namesake = Namesake::default();
        let mut warnings = |named: &[Option<&str>]| {
            named.iter().filter(|named| namesake.on_instance(**named, "own")).count()
        };
        assert_eq!(warnings(&[None, Some("own"), Some("other"), Some("other"), Some("own")]), 0);
        assert_eq!(warnings(&[Some("other"), Some("other"), None, Some("other"), Some("other")]), 1);
    }

    #[test]
    fn an_answer_to_an_earlier_heartbeat_shows_no_other_worker() {
        let mut namesake = Namesake::default();
        let ids: Vec<String> = (0..KEPT).map(|number| number.to_string()).collect();
        for id in &ids {
            namesake.on_heartbeat(vec![id.clone()]);
        }
        for _ in 0..10 {
            assert_eq!(namesake.on_answer(&ids[..1], |_| false), None);
        }
    }

    #[test]
    fn foreign_tasks_are_worth_a_warning_once_and_our_own_never() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let mut namesake = Namesake::default();
        namesake.on_heartbeat(ids(&["ended-before-last"]));
        namesake.on_heartbeat(ids(&["ended"]));
        for _ in 0..10 {
            let own = ids(&["ended-before-last", "ended", "runs"]);
            assert_eq!(namesake.on_answer(&own, |id| id == "runs"), None);
        }
        let both = ids(&["runs", "theirs"]);
        let warnings = (0..10).map(|_| namesake.on_answer(&both, |id| id == "runs"));
        assert_eq!(
            warnings.collect::<Vec<_>>(),
            [None, None, Some("theirs")].into_iter().chain([None; 7]).collect::<Vec<_>>()
        );
    }
}
