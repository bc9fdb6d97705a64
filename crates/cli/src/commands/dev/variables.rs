//! The environment of the workers that the server starts.

use std::ffi::OsString;

/// Variables that a worker gets unless the environment has them.
const UNLESS_SET: [(&str, &str); 4] = [
    ("WORKER_ENABLE_WEBSOCKETS", "true"),
    ("WORKER_PORT", "0"),
    ("LOG_FORMAT", "json"),
    ("PYTHONUNBUFFERED", "1"),
];

/// Another one, for a server that loses no task to a poll that is abandoned; a worker that waited for it would not be
/// restarted for half a minute.
const DROP_POLLS: (&str, &str) = ("WORKER_SHUTDOWN_POLLS", "drop");

/// Returns the ids of the workers.
pub(super) fn ids(workers: u64, variable: Option<String>) -> Vec<String> {
    let base = variable.filter(|id| !id.is_empty()).unwrap_or_else(|| "dev".to_owned());
    if workers == 1 { vec![base] } else { (1..=workers).map(|number| format!("{base}-{number}")).collect() }
}

/// Returns the variables that are added to the environment. The addresses, the token and the keys always are those of the
/// server: old values in a shell would lead a worker to another one. `loses_polls` is whether the server gives tasks to
/// polls that are abandoned.
pub(in crate::commands) fn added(
    own: &[(&'static str, String)],
    worker_id: &str,
    loses_polls: bool,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Vec<(String, OsString)> {
    let own = own.iter().map(|(name, value)| ((*name).to_owned(), value.into()));
    let drop_polls = (!loses_polls).then_some(&DROP_POLLS);
    let unset = UNLESS_SET
        .iter()
        .chain(drop_polls)
        .filter(|(name, _)| variable(name).is_none_or(|value| value.is_empty()));
    own.chain(unset.map(|(name, value)| ((*name).to_owned(), OsString::from(value))))
        .chain([("WORKER_ID".to_owned(), worker_id.into())])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_workers_have_numbers() {
        assert_eq!(ids(1, None), ["dev"]);
        assert_eq!(ids(1, Some("mine".to_owned())), ["mine"]);
        assert_eq!(ids(2, Some(String::new())), ["dev-1", "dev-2"]);
    }

    #[test]
    fn addresses_win_over_the_environment_and_the_rest_does_not() {
        let own = [("ORCHESTRATOR_URL", "http://here".to_owned())];
        let environment =
            |name: &str| matches!(name, "ORCHESTRATOR_URL" | "LOG_FORMAT").then(|| "old".into());
        let added = added(&own, "dev-2", false, environment);
        let value =
            |wanted: &str| added.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.to_str());
        assert_eq!(value("ORCHESTRATOR_URL"), Some(Some("http://here")));
        assert_eq!(value("LOG_FORMAT"), None);
        assert_eq!(value("WORKER_PORT"), Some(Some("0")));
        assert_eq!(value("WORKER_ID"), Some(Some("dev-2")));
    }

    #[test]
    fn polls_are_dropped_only_where_that_loses_no_task() {
        let has_it = |loses_polls| {
            added(&[], "dev", loses_polls, |_| None).iter().any(|(name, _)| name == "WORKER_SHUTDOWN_POLLS")
        };
        assert!(has_it(false));
        assert!(!has_it(true));
    }
}
