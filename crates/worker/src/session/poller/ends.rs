//! The ends of polls, and the log lines about what they teach.

use rxon::transport::Polled;
use rxon::{Error, ErrorKind};

use crate::session::polling::{Lesson, PollEnd};

/// The end of a poll; `is_alive` tells whether a heartbeat was answered since it was sent.
pub(super) fn end_of(polled: &Result<Polled, Error>, is_alive: impl FnOnce() -> bool) -> PollEnd {
    match polled {
        Ok(Polled::Task(..)) => PollEnd::Task,
        Ok(Polled::Nothing) => PollEnd::Empty,
        Ok(Polled::Refused(response)) if matches!(response.status, 408 | 504) => PollEnd::Cut,
        Ok(Polled::Refused(_) | Polled::Malformed { .. }) => PollEnd::Other,
        Err(error) => match error.kind() {
            ErrorKind::Timeout => PollEnd::TimedOut { is_alive: is_alive() },
            ErrorKind::Closed if error.progress().written => PollEnd::Cut,
            _ => PollEnd::Other,
        },
    }
}

pub(super) fn say(lesson: Lesson, orchestrator: &str) {
    match lesson {
        Lesson::TooShort { limit, next: Some(next) } => tracing::warn!(
            %orchestrator,
            "a poll was not answered within {limit:?}, although heartbeats are: the orchestrator seems to hold polls \
             longer, and tasks that it dispatches to an abandoned poll are lost; polls are given up after {next:?} from \
             now on; raise `TASK_POLL_TIMEOUT`"
        ),
        Lesson::TooShort { limit, next: None } => tracing::warn!(
            %orchestrator,
            "a poll was not answered within {limit:?}: if the orchestrator holds polls longer, tasks that it dispatches \
             to an abandoned poll are lost; then raise `TASK_POLL_TIMEOUT`"
        ),
        Lesson::HeldFor(time) => tracing::info!(
            %orchestrator,
            "the orchestrator holds polls for {} s, longer than `TASK_POLL_TIMEOUT`: raise that",
            time.as_secs()
        ),
        Lesson::CutOff { after, ask } => {
            let change = ask.map_or_else(String::new, |ask| {
                format!("; polls of {ask:?} are asked for now, which not every orchestrator obeys")
            });
            tracing::warn!(
                %orchestrator,
                "a proxy ends polls after {} s: tasks that the orchestrator dispatches to such a poll are lost; raise the \
                 proxy's read timeout above the time for which the orchestrator holds polls{change}",
                tenths(after)
            );
        }
    }
}

/// Seconds with at most one decimal.
fn tenths(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_timeout_asks_whether_heartbeats_are_answered() {
        let timeout = Err(Error::new(ErrorKind::Timeout, "too late"));
        assert_eq!(end_of(&timeout, || true), PollEnd::TimedOut { is_alive: true });
        assert_eq!(end_of(&Ok(Polled::Nothing), || unreachable!("it takes a lock")), PollEnd::Empty);
        let refused = Err(Error::new(ErrorKind::Connect, "refused"));
        assert_eq!(end_of(&refused, || unreachable!("it takes a lock")), PollEnd::Other);
    }
}
