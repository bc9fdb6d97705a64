//! The faults in the answers of the server.

use std::time::Duration;

use anyhow::Result;
use avtomatika_dev::{Fault, FaultSwitch};
use tokio::time::{Instant, sleep_until, timeout};

use super::finding::Finding;
use super::lane::{Lane, NEVER, result_hit, unix_seconds};

/// The number of tries to hit the result of a task that was taken before.
const TRIES: u32 = 5;

/// The time in which a quick task is hit, if it is hit at all.
const HIT: Duration = Duration::from_millis(500);

/// The most requests per second that a worker may send while each of them fails.
const MAX_RATE: f64 = 100.0;

/// The time in which the server's own verdict follows the recovery, if no result has to come again.
const VERDICT: Duration = Duration::from_millis(300);

/// The faults after which results have to come again although they count: the worker cannot know.
const HARM_ANSWERS: [Fault; 3] = [Fault::LoseAck, Fault::Cut, Fault::Garbage];

/// The course of a fault.
struct Course {
    switch: FaultSwitch,
    /// The time for which it is on: at least one heartbeat and one poll fall into it.
    time: Duration,
    /// Whether every request fails.
    fails_all: bool,
    /// Whether it shows in the results of tasks that were taken before.
    hits_results: bool,
}

impl Course {
    /// Returns the course of a fault, for tasks that take this long.
    fn of(fault: Fault, takes: Duration) -> Self {
        let usual = Self {
            switch: FaultSwitch::on(),
            time: Duration::from_millis(2_500),
            fails_all: true,
            hits_results: true,
        };
        match fault {
            Fault::Slow => Self {
                switch: FaultSwitch::on().with_delay(Duration::from_millis(1_500)),
                time: Duration::from_millis(3_500),
                fails_all: false,
                ..usual
            },
            Fault::Forget => {
                Self { time: Duration::from_millis(500), fails_all: false, hits_results: false, ..usual }
            }
            Fault::LoseAck => Self { time: Duration::from_millis(1_500), fails_all: false, ..usual },
            // A copy is given to the next poll, which may need a slot that is taken.
            Fault::Duplicate => Self {
                time: Duration::from_millis(1_500) + takes,
                fails_all: false,
                hits_results: false,
                ..usual
            },
            _ => usual,
        }
    }
}

/// Takes the worker through a fault: while tasks run, and with more to come.
pub(super) async fn go_through(lane: &mut Lane<'_, '_>, fault: Fault) -> Result<Finding> {
    let task = lane.tasks.main.clone();
    let course = Course::of(fault, task.takes);
    let mut jobs = Vec::new();
    let mut on = Instant::now();
    let mut since = unix_seconds();
    let mut is_hit = false;
    for _ in 0..TRIES {
        if lane.process.end().is_some() {
            break;
        }
        let batch = lane.submit(&task, task.batch(), NEVER)?;
        lane.until_underway(&batch).await;
        jobs.extend(batch);
        (on, since) = (Instant::now(), unix_seconds());
        let running = lane.running(&jobs);
        let mut feed = lane.switch_on(fault, course.switch.clone())?;
        is_hit = course.hits_results && result_hit(&mut feed, fault, &running, on + task.takes + HIT).await;
        if is_hit || !course.hits_results {
            break;
        }
        lane.switch_off(fault)?;
    }
    lane.orchestrator.set_fault(fault, course.switch)?;
    jobs.extend(lane.submit(&task, 2, NEVER)?);
    sleep_until(on + course.time).await;
    let took = on.elapsed();
    let hits = lane.switch_off(fault)?;
    // What makes workers unknown has its effect at once; after all else, the next heartbeat counts.
    let since = if fault == Fault::Forget { since } else { unix_seconds() };
    jobs.extend(lane.submit(&task, 1, NEVER)?);
    let patience = lane.patience() + task.time_of(jobs.len());
    let recovered = match lane.recover(&jobs, since, patience).await {
        Ok(recovered) => recovered,
        Err(missing) => return Ok(Finding::broken(missing.to_string())),
    };
    let rate = hits as f64 / took.as_secs_f64();
    if course.fails_all && rate > MAX_RATE {
        return Ok(Finding::broken(format!(
            "{rate:.0} requests per second while each of them failed, expected at most {MAX_RATE:.0}"
        )));
    }
    if course.hits_results && !is_hit {
        return Ok(Finding::skipped(format!(
            "no result could be caught on its way; {}",
            recovered.sentence()
        )));
    }
    let comes_again = HARM_ANSWERS.contains(&fault);
    let limit = if comes_again { patience } else { VERDICT };
    let verdict = timeout(limit, lane.orchestrator.verdict(fault)).await.ok().flatten();
    if verdict.is_none() && comes_again {
        let within = patience.as_secs();
        return Ok(Finding::broken(format!(
            "within {within} s, a result whose answer was harmed did not come again"
        )));
    }
    let again = verdict.map_or(0, |verdict| verdict.results_again);
    let unseen =
        if fault == Fault::Duplicate { "; whether it ran them once cannot be seen from outside" } else { "" };
    Ok(Finding::held(format!("{}; results sent again: {again}{unseen}", recovered.sentence())))
}
