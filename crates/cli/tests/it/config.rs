//! `avtomatika config`.

use serde_json::Value;

use crate::program::{command, printed};

/// Variables that may contain secrets, each with one.
const SECRETS: [(&str, &str); 9] = [
    ("WORKER_TOKEN", "hidden"),
    ("WORKER_INDIVIDUAL_TOKEN", "hidden"),
    ("ORCHESTRATOR_URL", "http://me:hidden@host/api"),
    ("ORCHESTRATORS_CONFIG", r#"[{"url": "wss://me:hidden@one", "token": "hidden"}, {"url": "http://two"}]"#),
    ("ORCHESTRATOR_SECRET_KEY", "hidden"),
    ("HTTP_PROXY", "http://me:hidden@proxy:3128"),
    ("S3_ENDPOINT_URL", "http://me:hidden@s3:9000"),
    ("S3_ACCESS_KEY", "hidden"),
    ("S3_SECRET_KEY", "hidden"),
];

fn config(args: &[&str], variables: &[(&str, &str)]) -> (String, String, Option<i32>) {
    let all = [&["config"], args].concat();
    printed(&command(&all).envs(variables.iter().copied()).output().expect("started"))
}

#[test]
fn all_options_are_printed_with_their_values_and_sources() {
    let variables = [("WORKER_TOKEN", "t"), ("HEARTBEAT_INTERVAL", "5"), ("LOG_LEVEL", "Warning")];
    let (stdout, stderr, code) = config(&[], &variables);
    assert_eq!((stderr.as_str(), code), ("", Some(0)));
    insta::assert_snapshot!("config", stdout);
}

#[test]
fn programs_get_json() {
    let (stdout, _, code) = config(&["--json"], &[("HEARTBEAT_INTERVAL", "5")]);
    assert_eq!(code, Some(0));
    let object: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(object["HEARTBEAT_INTERVAL"], serde_json::json!({"value": "5", "source": "environment"}));
    assert_eq!(object["WORKER_ID"], serde_json::json!({"value": null, "source": "default"}));
    let (lines, _, _) = config(&[], &[]);
    assert_eq!(object.as_object().map(serde_json::Map::len), Some(lines.lines().count()));
}

#[test]
fn no_secret_is_printed() {
    for args in [&[][..], &["--json"]] {
        let (stdout, stderr, code) = config(args, &SECRETS);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(!stdout.contains("hidden") && !stderr.contains("hidden"), "{stdout}{stderr}");
        for shown in ["http://host/api", "https://one", "http://proxy:3128", "http://s3:9000", "***"] {
            assert!(stdout.contains(shown), "{shown} in {stdout}");
        }
    }
}

#[test]
fn warnings_go_to_standard_error() {
    let (stdout, stderr, code) = config(&[], &[("WORKER_TOKNE", "hidden"), ("COST_PER_SKILL", "{")]);
    assert_eq!(code, Some(0));
    let warnings: Vec<_> = stderr.lines().collect();
    assert!(warnings.len() == 3 && warnings.iter().all(|line| line.starts_with("warning: ")), "{stderr}");
    for expected in ["`WORKER_TOKEN`?", "`COST_PER_SKILL` is ignored", "placeholder"] {
        assert!(stderr.contains(expected) && !stdout.contains(expected), "{stderr}");
    }
}

#[test]
fn all_problems_are_listed_and_nothing_else() {
    let wrong = [
        ("WORKER_ID", "a b"),
        ("MAX_CONCURRENT_TASKS", "0"),
        ("WORKER_TOKEN", "hidden\n2"),
        ("ORCHESTRATOR_URL", "mock://me:hidden@host"),
        ("ORCHESTRATORS_CONFIG", r#"[{"token": "hidden"}, 5]"#),
        ("TLS_KEY_PATH", "/no/such/key"),
    ];
    let (stdout, stderr, code) = config(&[], &wrong);
    assert_eq!((stdout.as_str(), code), ("", Some(2)));
    for (name, _) in wrong {
        assert!(
            stderr.lines().any(|line| line.starts_with(&format!("error: `{name}` is"))),
            "{name} in {stderr}"
        );
    }
    assert!(stderr.contains("error: `TLS_CERT_PATH` is not set"), "{stderr}");
    assert!(stderr.contains("entry 0: there is no `url`; entry 1: expected an object"), "{stderr}");
    assert!(!stderr.contains("hidden"), "{stderr}");
}

#[test]
fn a_value_stays_on_its_line() {
    let (stdout, stderr, code) = config(&[], &[("WORKER_TYPE", "two\nlines"), ("WORKER_TOKEN", "t")]);
    assert_eq!((stdout.as_str(), stderr.lines().count(), code), ("", 1, Some(2)), "{stderr}");
}

#[test]
fn options_for_features_that_this_program_lacks_are_shown() {
    let variables = [("WORKER_TOKEN", "t"), ("WORKER_ID", "w"), ("WORKER_OUTBOX_DIR", "/results")];
    let (stdout, stderr, code) = config(&[], &variables);
    assert_eq!((stderr.as_str(), code), ("", Some(0)));
    assert!(
        stdout.lines().any(|line| line.starts_with("WORKER_OUTBOX_DIR ") && line.ends_with(" /results")),
        "{stdout}"
    );
}
