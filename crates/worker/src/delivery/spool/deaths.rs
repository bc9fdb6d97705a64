//! Tasks that died with the process that ran them. Pure.
//!
//! An orchestrator dispatches a failed task anew under a new id. So tasks of the same orchestrator, job and name count as
//! the same task, and a process that died with several of them counts once. The end of such a task clears the count,
//! whatever its outcome.

use std::collections::BTreeSet;
use std::sync::Arc;

use rxon::WorkerId;
use rxon::model::{ErrorCode, Failure, TaskResult};

use super::ledger::{DeathKey, Deaths, Ledger};
use crate::delivery::record::{BegunTask, Record};

/// The number of deaths with the same task that is not chance.
const TOO_MANY: u32 = 3;

/// The time after which a death is forgotten, in milliseconds.
const REMEMBERED: u64 = 24 * 3600 * 1000;

/// Turns every task that is under way in the file into a failure. Returns the number of failures, and how many are final.
pub(super) fn bury(ledger: &mut Ledger, worker_id: &WorkerId, now: u64) -> (usize, usize) {
    let old = |deaths: &Deaths| now.saturating_sub(deaths.last) >= REMEMBERED;
    let stale: Vec<_> =
        ledger.held().deaths.iter().filter(|(_, deaths)| old(deaths)).map(|(key, _)| key.clone()).collect();
    for key in stale {
        ledger.forget_deaths(key);
    }
    let dead: Vec<_> =
        ledger.held().tasks.iter().map(|(task, begun)| (task.clone(), begun.clone())).collect();
    let death_key = |orchestrator: &Arc<str>, begun: &BegunTask| DeathKey {
        orchestrator: orchestrator.clone(),
        job_id: begun.job_id.clone(),
        name: begun.name.clone(),
    };
    let at_fault: BTreeSet<_> = dead
        .iter()
        .filter(|(_, begun)| begun.started)
        .map(|(task, begun)| death_key(&task.orchestrator, begun))
        .collect();
    for key in at_fault {
        let count = ledger.held().deaths.get(&key).map_or(0, |deaths| deaths.count);
        ledger.set_deaths(key, Deaths { count: count.saturating_add(1), last: now });
    }
    let mut is_final = 0;
    for (task, begun) in &dead {
        let key = death_key(&task.orchestrator, begun);
        let count = ledger.held().deaths.get(&key).map_or(0, |deaths| deaths.count);
        let too_many = begun.started && count >= TOO_MANY;
        is_final += usize::from(too_many);
        ledger.end(task.clone());
        let failure = if too_many {
            let message = format!("worker process died, {count} times with this task");
            Failure { code: ErrorCode::Permanent, message, details: None }
        } else {
            let message = "worker process died".to_owned();
            Failure { code: ErrorCode::Transient, message, details: None }
        };
        let (job_id, task_id) = (begun.job_id.clone(), task.task_id.clone());
        let result = TaskResult::failure(job_id, task_id, worker_id.clone(), failure);
        ledger.put(Record {
            orchestrator: task.orchestrator.clone(),
            job_id: begun.job_id.clone(),
            task_id: task.task_id.clone(),
            since: now,
            newer: begun.newer,
            is_replacement: false,
            is_in_flight: false,
            body: serde_json::to_vec(&result).expect("texts always serialise").into(),
        });
    }
    (dead.len(), is_final)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::ledger::{Contents, Held};
    use super::super::tests::{record, task};
    use super::*;

    fn worker() -> WorkerId {
        WorkerId::new("w").expect("an identifier")
    }

    /// The process dies, and another reads its file.
    fn die(ledger: &Ledger) -> Ledger {
        Ledger::new(ledger.held().clone())
    }

    fn codes(contents: &Contents) -> Vec<String> {
        let body = |held: &Held| match held {
            Held::Here(record) => serde_json::from_slice::<Value>(&record.body).expect("JSON"),
            Held::InFile => Value::Null,
        };
        contents.results.values().map(|held| body(held)["error"]["code"].to_string()).collect()
    }

    #[test]
    fn the_third_death_with_the_same_task_is_final_whatever_its_id() {
        let mut ledger = Ledger::default();
        for number in 0..3 {
            let (key, begun) = task(&format!("dispatched-{number}"));
            ledger.begin(key, begun);
            ledger = die(&ledger);
            assert_eq!(bury(&mut ledger, &worker(), 1_000 * number), (1, usize::from(number == 2)));
        }
        let codes = codes(ledger.held());
        assert_eq!(codes, ["\"TRANSIENT_ERROR\"", "\"TRANSIENT_ERROR\"", "\"PERMANENT_ERROR\""]);
        assert!(ledger.held().tasks.is_empty());
    }

    #[test]
    fn a_task_that_ends_clears_its_deaths_and_so_does_a_day() {
        let mut ledger = Ledger::default();
        let die_once = |ledger: &mut Ledger, now| {
            let (key, begun) = task("t");
            ledger.begin(key, begun);
            *ledger = die(ledger);
            bury(ledger, &worker(), now)
        };
        for _ in 0..2 {
            assert_eq!(die_once(&mut ledger, 0), (1, 0));
        }
        let (key, begun) = task("t");
        ledger.begin(key, begun);
        ledger.finish(record("t"));
        assert!(ledger.held().deaths.is_empty());
        for _ in 0..2 {
            assert_eq!(die_once(&mut ledger, 0), (1, 0));
        }
        assert_eq!(die_once(&mut ledger, REMEMBERED), (1, 0));
    }

    #[test]
    fn several_at_once_count_as_one_death_and_those_that_waited_as_none() {
        let mut ledger = Ledger::default();
        for name in ["a", "b", "c"] {
            let (key, begun) = task(name);
            ledger.begin(key, begun);
        }
        bury(&mut ledger, &worker(), 0);
        let counts: Vec<_> = ledger.held().deaths.values().map(|deaths| deaths.count).collect();
        assert_eq!(counts, [1]);
        let (key, begun) = task("waits");
        ledger.begin(key, BegunTask { started: false, ..begun });
        assert_eq!(bury(&mut ledger, &worker(), 0), (1, 0));
        let counts: Vec<_> = ledger.held().deaths.values().map(|deaths| deaths.count).collect();
        assert_eq!(counts, [1]);
    }
}
