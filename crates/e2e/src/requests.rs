//! The requests of workers in the log of an orchestrator.

use serde_json::Value;

use crate::process::Log;

/// The beginning of the paths of the fixtures' own requests, which only mark a position in the log.
pub(crate) const MARK: &str = "/_worker/mark-";

/// A worker's request, and the status of the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The method, such as `GET`.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
    /// The time of the answer, in seconds since 1970.
    pub answered: f64,
}

impl Request {
    /// Returns all requests in `log`, in the order of their answers.
    pub(crate) fn all_in(log: &Log) -> Vec<Self> {
        log.lines().iter().filter_map(|line| Self::parse(line)).collect()
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("REQUEST ")?.split(' ');
        let method = words.next()?.to_owned();
        let path = words.next().filter(|path| !path.starts_with(MARK))?.to_owned();
        let status = words.next()?.parse().ok()?;
        Some(Self { method, path, status, answered: words.next()?.parse().ok()? })
    }

    /// Returns all results in `log`, in the order of their arrival, whatever the answer was.
    pub(crate) fn results_in(log: &Log) -> Vec<Value> {
        let of = |line: &String| {
            let body = line.strip_prefix("RESULT ")?;
            Some(serde_json::from_str(body).unwrap_or_else(|error| panic!("not JSON, {error}: {body}")))
        };
        log.lines().iter().filter_map(of).collect()
    }

    /// Whether it is a registration.
    pub fn is_registration(&self) -> bool {
        self.path == "/_worker/workers/register"
    }

    /// Whether it is a poll.
    pub fn is_poll(&self) -> bool {
        self.path.split('?').next().is_some_and(|path| path.ends_with("/tasks/next"))
    }

    /// Whether it is a heartbeat.
    pub fn is_heartbeat(&self) -> bool {
        self.method == "PATCH"
    }

    /// Whether it delivers a result.
    pub fn is_result(&self) -> bool {
        self.path == "/_worker/tasks/result"
    }

    /// Whether it is a poll that was answered with a task.
    pub fn is_dispatch(&self) -> bool {
        self.is_poll() && self.status == 200
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_is_read() {
        let poll = Request::parse("REQUEST GET /_worker/workers/w/tasks/next?timeout=30 204 1700000000.125")
            .unwrap();
        assert!(poll.is_poll() && !poll.is_dispatch());
        assert_eq!((poll.method.as_str(), poll.status), ("GET", 204));
        assert!((poll.answered - 1_700_000_000.125).abs() < 1e-6);
        assert_eq!(Request::parse("2026-11-23 - avtomatika.engine - INFO - started"), None);
    }
}
