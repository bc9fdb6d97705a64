//! `deploy`: SIGTERM while tasks run, and a new start.

use std::time::Duration;

use anyhow::Result;
use avtomatika_dev::TaskStatus;
use tokio::time::Instant;

use super::finding::{Finding, count, ended};
use super::lane::{Lane, NEVER};
use crate::supervision::{End, Order};

/// The reason of a drill whose tasks are too quick for it.
pub(super) const NOT_CAUGHT: &str =
    "no task could be caught while it ran; `--task` and `--params` name a longer task";

/// The time that a worker has beside its shutdown time.
pub(super) const MORE: Duration = Duration::from_secs(3);

/// SIGTERM, as a number.
const TERM: i32 = 15;

/// Takes the worker through a deploy.
pub(super) async fn go_through(lane: &mut Lane<'_, '_>) -> Result<Finding> {
    let task = lane.tasks.longest().clone();
    let limit = lane.pace.shutdown + MORE;
    let ending = lane.end_in_task(&task, NEVER, async |process| {
        let began = Instant::now();
        process.order(Order::Terminate).await;
        let end = process.gone(limit).await;
        let took = began.elapsed();
        process.kill().await;
        (end, took)
    });
    let Some((jobs, (end, took))) = ending.await? else { return Ok(Finding::skipped(NOT_CAUGHT)) };
    let end = match judged(end, limit, lane.count(&jobs, TaskStatus::Running), task.is_long()) {
        Ok(end) => end,
        Err(finding) => {
            lane.give_up(&jobs);
            return Ok(finding);
        }
    };
    lane.start_again(&task, jobs, Duration::ZERO, |_, recovered| {
        format!(
            "{end} after {:.1} s, every task was answered; after the new start it {}",
            took.as_secs_f64(),
            recovered.sentence()
        )
    })
    .await
}

/// Judges the end of a worker that left this number of running tasks without an answer: says how it ended, or what is
/// wrong with that.
fn judged(end: Option<End>, limit: Duration, open: usize, is_long: bool) -> Result<String, Finding> {
    let unanswered = format!("{} got no answer", count(open, "running task"));
    let and = |joint: &str| if open > 0 { format!("{joint} {unanswered}") } else { String::new() };
    match end {
        None => {
            let limit = limit.as_secs_f64();
            Err(Finding::broken(format!("it still ran {limit:.0} s after SIGTERM{}", and(";"))))
        }
        Some(End::Killed(TERM)) if open > 0 => {
            Err(Finding::broken(format!("SIGTERM ended it at once; {unanswered}")))
        }
        // It may have been killed between two tasks.
        Some(End::Killed(TERM)) if !is_long => Err(Finding::skipped(NOT_CAUGHT)),
        // A shell that started the worker, and did not wait for it.
        Some(End::Killed(TERM)) => {
            Ok("its first process was killed by SIGTERM, and the last one ended".to_owned())
        }
        Some(end) if open > 0 => Err(Finding::broken(format!("it {}{}", ended(end), and(", but")))),
        Some(end) => Ok(format!("it {}", ended(end))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::drill::finding::Verdict;

    #[test]
    fn what_counts_is_whether_tasks_were_left_without_an_answer() {
        let limit = Duration::from_secs(8);
        for (end, open, is_long, expected) in [
            (Some(End::Exited(0)), 0, true, Ok("it exited with code 0")),
            (Some(End::Exited(0)), 1, true, Err((Verdict::Broken, "but 1 running task got no answer"))),
            (Some(End::Killed(TERM)), 2, true, Err((Verdict::Broken, "2 running tasks got no answer"))),
            (
                Some(End::Killed(TERM)),
                0,
                true,
                Ok("its first process was killed by SIGTERM, and the last one ended"),
            ),
            (Some(End::Killed(TERM)), 0, false, Err((Verdict::Skipped, NOT_CAUGHT))),
            (None, 0, true, Err((Verdict::Broken, "it still ran 8 s after SIGTERM"))),
            (None, 1, true, Err((Verdict::Broken, "after SIGTERM; 1 running task got no answer"))),
        ] {
            match (judged(end, limit, open, is_long), expected) {
                (Ok(words), Ok(expected)) => assert_eq!(words, expected, "{end:?} {open}"),
                (Err(finding), Err((verdict, words))) => {
                    assert_eq!(finding.verdict, verdict, "{end:?} {open}: {}", finding.reason);
                    assert!(finding.reason.ends_with(words), "{end:?} {open}: {}", finding.reason);
                }
                (judged, _) => panic!("{end:?} {open}: {judged:?}"),
            }
        }
    }
}
