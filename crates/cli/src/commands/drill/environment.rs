//! The environment of the workers of a drill.

use std::ffi::OsString;
use std::time::Duration;

use avtomatika_dev::{DevOrchestrator, LocalS3};

use super::space::Space;
use crate::commands::dev::variables;

/// The id of the worker.
const WORKER_ID: &str = "drill";

/// Short times, unless the environment has others: what a worker does after an hour would not be seen.
const UNLESS_SET: [(&str, &str); 4] = [
    ("HEARTBEAT_INTERVAL", "1"),
    ("TASK_POLL_ERROR_DELAY", "0.5"),
    ("RESULT_RETRY_INITIAL_DELAY", "0.5"),
    (SHUTDOWN_TIMEOUT, "5"),
];

/// The variable of the shutdown time.
const SHUTDOWN_TIMEOUT: &str = "WORKER_SHUTDOWN_TIMEOUT";

/// The shutdown time of a worker whose variable cannot be read.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// The most that is allowed for long pauses.
const MOST: Duration = Duration::from_secs(60);

/// Returns the variables that are added to the environment. The second worker shares nothing with the first one.
pub(super) fn variables(
    orchestrator: &DevOrchestrator,
    token: &str,
    (space, number, fills_disk): (&Space, usize, bool),
    variable: impl Fn(&str) -> Option<OsString>,
) -> anyhow::Result<Vec<(String, OsString)>> {
    let is_unset = |name: &str| variable(name).is_none_or(|value| value.is_empty());
    let mut own = vec![("ORCHESTRATOR_URL", orchestrator.url()), ("WORKER_TOKEN", token.to_owned())];
    own.extend(orchestrator.storage().into_iter().flat_map(LocalS3::variables));
    let mut added = variables::added(&own, WORKER_ID, false, &variable);
    for (name, value) in UNLESS_SET.into_iter().filter(|(name, _)| is_unset(name)) {
        added.push((name.to_owned(), value.into()));
    }
    let is_second = number > 0;
    for (name, folder) in [("WORKER_OUTBOX_DIR", "outbox"), ("TASK_FILES_DIR", "files")] {
        if is_second || fills_disk || is_unset(name) {
            let folder = format!("{folder}-{number}");
            // A worker whose disk is not to be filled must not notice that of the other one.
            let path =
                if fills_disk { space.directory_on_disk(&folder)? } else { space.directory(&folder)? };
            added.push((name.to_owned(), path.into()));
        }
    }
    if is_second {
        added.push(("WORKER_PORT".to_owned(), "0".into()));
    }
    Ok(added)
}

/// The shutdown time of the worker.
pub(super) fn shutdown_time(variable: impl Fn(&str) -> Option<OsString>) -> Duration {
    seconds(&variable, SHUTDOWN_TIMEOUT).unwrap_or(SHUTDOWN)
}

/// The time that a worker waits longer than it would without its environment: twice each of its pauses.
pub(super) fn slowness(variable: impl Fn(&str) -> Option<OsString>) -> Duration {
    let pauses = UNLESS_SET.into_iter().filter(|(name, _)| *name != SHUTDOWN_TIMEOUT);
    let set = pauses.filter_map(|(name, _)| seconds(&variable, name)).sum::<Duration>();
    (set * 2).min(MOST)
}

fn seconds(variable: impl Fn(&str) -> Option<OsString>, name: &str) -> Option<Duration> {
    let seconds = variable(name)?.to_str()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_environment_are_allowed_for() {
        let empty = |_: &str| None;
        assert_eq!((shutdown_time(empty), slowness(empty)), (SHUTDOWN, Duration::ZERO));
        let slow = |name: &str| match name {
            "WORKER_SHUTDOWN_TIMEOUT" => Some("7.5".into()),
            "HEARTBEAT_INTERVAL" => Some("4".into()),
            "TASK_POLL_ERROR_DELAY" => Some("soon".into()),
            _ => None,
        };
        assert_eq!(
            (shutdown_time(slow), slowness(slow)),
            (Duration::from_secs_f64(7.5), Duration::from_secs(8))
        );
        assert_eq!(slowness(|_| Some("1e9".into())), MOST);
    }
}
