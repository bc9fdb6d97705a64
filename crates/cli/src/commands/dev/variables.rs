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

/// Variables that lead a worker to other orchestrators, or have it send the token of another one. They are emptied.
const ELSEWHERE: [&str; 2] = ["ORCHESTRATORS_CONFIG", "WORKER_INDIVIDUAL_TOKEN"];

/// The key with which real orchestrators sign tasks, under both of its names.
const SIGNING_KEYS: [&str; 2] = ["ORCHESTRATOR_SECRET_KEY", "SECRET_KEY"];

/// A variable for a worker that has such a key: this server signs no task.
const TAKE_UNSIGNED: (&str, &str) = ("REQUIRE_TASK_SIGNATURE", "false");

/// The proxy for addresses like those of the server, under both of its names.
const PROXIES: [&str; 2] = ["HTTP_PROXY", "http_proxy"];

/// The hosts that are reached without a proxy. Some libraries only know the one, some only the other.
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

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
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    let drop_polls = (!loses_polls).then_some(DROP_POLLS);
    let unset = UNLESS_SET.into_iter().chain(drop_polls).filter(|(name, _)| !is_set(name));
    let emptied = ELSEWHERE.into_iter().filter(|name| is_set(name)).map(|name| (name, ""));
    let unsigned = SIGNING_KEYS.into_iter().any(is_set).then_some(TAKE_UNSIGNED);
    let fixed = unset.chain(emptied).chain(unsigned).map(|(name, value)| (name.to_owned(), value.into()));
    let direct = PROXIES.into_iter().any(is_set).then(|| hosts_without_proxy(own, &variable));
    own.iter()
        .map(|(name, value)| ((*name).to_owned(), value.into()))
        .chain(fixed)
        .chain(direct.into_iter().flat_map(|hosts| NO_PROXY.map(|name| (name.to_owned(), hosts.clone()))))
        .chain([("WORKER_ID".to_owned(), worker_id.into())])
        .collect()
}

/// Returns the hosts of the environment that are reached without a proxy, and those of the server.
fn hosts_without_proxy(
    own: &[(&'static str, String)],
    variable: impl Fn(&str) -> Option<OsString>,
) -> OsString {
    let given = NO_PROXY.into_iter().filter_map(variable).find(|hosts| !hosts.is_empty());
    let mut hosts = given.unwrap_or_default();
    for address in own.iter().filter_map(|(_, value)| value.strip_prefix("http://")) {
        if !hosts.is_empty() {
            hosts.push(",");
        }
        // With its port: what else listens on this machine is left to the proxy.
        hosts.push(address.trim_end_matches('/'));
    }
    hosts
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
    fn nothing_of_the_environment_leads_to_a_real_orchestrator() {
        let own = [("ORCHESTRATOR_URL", "http://127.0.0.1:1".to_owned()), ("WORKER_TOKEN", "a".to_owned())];
        let value = |set: &[(&str, &str)], wanted: &str| {
            let find = |name: &str| set.iter().find(|(own, _)| *own == name).map(|(_, value)| value.into());
            let added = added(&own, "dev", false, find);
            added
                .into_iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.into_string().expect("text"))
        };
        for name in ["ORCHESTRATORS_CONFIG", "WORKER_INDIVIDUAL_TOKEN"] {
            assert_eq!(value(&[(name, "real")], name).as_deref(), Some(""));
            assert_eq!(value(&[], name), None);
        }
        for name in ["ORCHESTRATOR_SECRET_KEY", "SECRET_KEY"] {
            assert_eq!(value(&[(name, "k")], "REQUIRE_TASK_SIGNATURE").as_deref(), Some("false"));
            assert_eq!(value(&[(name, "")], "REQUIRE_TASK_SIGNATURE"), None);
        }
        for (set, expected) in [
            (vec![], None),
            (vec![("no_proxy", "a.example")], None),
            (vec![("HTTP_PROXY", "http://p")], Some("127.0.0.1:1")),
            (vec![("http_proxy", "p"), ("no_proxy", "a.example")], Some("a.example,127.0.0.1:1")),
        ] {
            assert_eq!(value(&set, "NO_PROXY").as_deref(), expected, "{set:?}");
            assert_eq!(value(&set, "no_proxy").as_deref(), expected, "{set:?}");
        }
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
