//! Tasks that died with the process that ran them. Pure.
//!
//! An orchestrator dispatches a failed task anew under a new id. So tasks of the same orchestrator, job and name count as
//! the same task, and a process that died with several of them counts once. The end of such a task clears the count,
//! whatever its outcome.

use std::collections::BTreeSet;

use rxon::WorkerId;
use rxon::model::{ErrorCode, Failure};

use super::ledger::{DeathKey, Deaths, Ledger};
use crate::delivery::record::{Record, failure_body};

/// The number of deaths with the same task from which the task is to blame.
const TOO_MANY: u32 = 3;

/// The time after which a death is forgotten, in milliseconds.
const REMEMBERED: u64 = 24 * 3600 * 1000;

/// Turns every task that is under way in the file into a failure. Returns the number of failures, and how many are final.
pub(super) fn bury(ledger: &mut Ledger, worker_id: &WorkerId, now: u64) -> (usize, usize) {
    let is_stale = |deaths: &Deaths| now.saturating_sub(deaths.last) >= REMEMBERED;
    let stale = ledger.deaths.rows.clone().into_iter().filter(|(_, deaths)| is_stale(deaths));
    for (key, _) in stale {
        ledger.deaths.remove(&key);
    }
    // A task whose result is in the file has ended, whatever else is: its death is none.
    for ended in ledger.ended_tasks() {
        ledger.tasks.remove(&ended);
    }
    let dead = ledger.tasks.rows.clone();
    let count =
        |ledger: &Ledger, key: &DeathKey| ledger.deaths.rows.get(key).map_or(0, |deaths| deaths.count);
    let started = dead.iter().filter(|(_, begun)| begun.started);
    let at_fault: BTreeSet<_> =
        started.map(|(task, begun)| DeathKey::new(&task.orchestrator, begun)).collect();
    for key in at_fault {
        let count = count(ledger, &key).saturating_add(1);
        ledger.deaths.insert(key, Deaths { count, last: now });
    }
    let mut finally = 0;
    for (task, begun) in &dead {
        let count = count(ledger, &DeathKey::new(&task.orchestrator, begun));
        let is_final = begun.started && count >= TOO_MANY;
        finally += usize::from(is_final);
        let (code, message) = if is_final {
            (ErrorCode::Permanent, format!("worker process died, {count} times with this task"))
        } else {
            (ErrorCode::Transient, "worker process died".to_owned())
        };
        let failure = Failure { code, message, details: None };
        ledger.tasks.remove(task);
        ledger.put(Record {
            orchestrator: task.orchestrator.clone(),
            job_id: begun.job_id.clone(),
            task_id: task.task_id.clone(),
            since: now,
            newer: begun.newer,
            is_replacement: false,
            is_in_flight: false,
            body: failure_body(&begun.job_id, &task.task_id, worker_id, failure),
        });
    }
    (dead.len(), finally)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::ledger::{Contents, Held};
    use super::super::tests::{record, task};
    use super::*;
    use crate::delivery::record::BegunTask;

    fn worker() -> WorkerId {
        WorkerId::new("w").expect("an identifier")
    }

    /// The process dies, and another reads its file.
    fn die(ledger: &Ledger) -> Ledger {
        let (results, tasks) = (ledger.results.rows.clone(), ledger.tasks.rows.clone());
        Ledger::new(Contents { results, tasks, deaths: ledger.deaths.rows.clone(), ..Contents::default() })
    }

    fn codes(ledger: &Ledger) -> Vec<String> {
        let body = |held: &Held| match held {
            Held::Here(record) => serde_json::from_slice::<Value>(&record.body).expect("JSON"),
            Held::InFile => Value::Null,
        };
        ledger.results.rows.values().map(|held| body(held)["error"]["code"].to_string()).collect()
    }

    #[test]
    fn the_third_death_with_the_same_task_is_final_whatever_its_id() {
        let mut ledger = Ledger::default();
        for number in 0..3 {
            let (key, begun) = task(&format!("dispatched-{number}"));
            ledger.tasks.insert(key, begun);
            ledger = die(&ledger);
            assert_eq!(bury(&mut ledger, &worker(), 1_000 * number), (1, usize::from(number == 2)));
        }
        let codes = codes(&ledger);
        assert_eq!(codes, ["\"TRANSIENT_ERROR\"", "\"TRANSIENT_ERROR\"", "\"PERMANENT_ERROR\""]);
        assert!(ledger.tasks.rows.is_empty());
    }

    #[test]
    fn a_task_that_ends_clears_its_deaths_and_so_does_a_day() {
        let mut ledger = Ledger::default();
        let mut dispatches = 0..;
        let mut die_once = |ledger: &mut Ledger, now| {
            let (key, begun) = task(&format!("dispatched-{:?}", dispatches.next()));
            ledger.tasks.insert(key, begun);
            *ledger = die(ledger);
            bury(ledger, &worker(), now)
        };
        for _ in 0..2 {
            assert_eq!(die_once(&mut ledger, 0), (1, 0));
        }
        let (key, begun) = task("t");
        ledger.tasks.insert(key, begun);
        ledger.finish(record("t"));
        assert!(ledger.deaths.rows.is_empty());
        for _ in 0..2 {
            assert_eq!(die_once(&mut ledger, 0), (1, 0));
        }
        assert_eq!(die_once(&mut ledger, REMEMBERED), (1, 0));
    }

    #[test]
    fn a_finished_result_wins_over_the_mark_of_its_task() {
        let mut ledger = Ledger::default();
        ledger.finish(record("ended"));
        for name in ["ended", "died"] {
            let (key, begun) = task(name);
            ledger.tasks.insert(key, begun);
        }
        ledger = die(&ledger);
        assert_eq!(bury(&mut ledger, &worker(), 0), (1, 0));
        let task_id = |held: &Held| match held {
            Held::Here(record) => record.task_id.to_string(),
            Held::InFile => panic!("it was read"),
        };
        let task_ids: Vec<_> = ledger.results.rows.values().map(task_id).collect();
        assert_eq!(task_ids, ["ended", "died"], "one result each");
        assert!(ledger.tasks.rows.is_empty());
    }

    #[test]
    fn several_at_once_count_as_one_death_and_those_that_waited_as_none() {
        let mut ledger = Ledger::default();
        for name in ["a", "b", "c"] {
            let (key, begun) = task(name);
            ledger.tasks.insert(key, begun);
        }
        bury(&mut ledger, &worker(), 0);
        let counts: Vec<_> = ledger.deaths.rows.values().map(|deaths| deaths.count).collect();
        assert_eq!(counts, [1]);
        let (key, begun) = task("waits");
        ledger.tasks.insert(key, BegunTask { started: false, ..begun });
        assert_eq!(bury(&mut ledger, &worker(), 0), (1, 0));
        let counts: Vec<_> = ledger.deaths.rows.values().map(|deaths| deaths.count).collect();
        assert_eq!(counts, [1]);
    }
}
