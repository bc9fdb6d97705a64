//! The table itself.

use super::*;

/// The reference's table with its defaults.
const REFERENCE: [(&str, &str); 32] = [
    ("WORKER_ID", "a random `worker-<uuid>`"),
    ("WORKER_TYPE", "`generic-cpu-worker`"),
    ("WORKER_PORT", "`8083`"),
    ("WORKER_TOKEN", "`your-secret-worker-token`"),
    ("WORKER_INDIVIDUAL_TOKEN", "none"),
    ("TLS_CA_PATH", "the system's certificates"),
    ("TLS_CERT_PATH", "none"),
    ("TLS_KEY_PATH", "none"),
    ("ORCHESTRATOR_URL", "`http://localhost:8080`"),
    ("ORCHESTRATORS_CONFIG", "`[]`"),
    ("MULTI_ORCHESTRATOR_MODE", "`FAILOVER`"),
    ("MAX_CONCURRENT_TASKS", "`10`"),
    ("COST_PER_SKILL", "`{}`"),
    ("CPU_CORES", "`4`"),
    ("GPU_MODEL", "none"),
    ("GPU_VRAM_GB", "`0`"),
    ("INSTALLED_SOFTWARE", "`{\"python\": \"3.9\"}`"),
    ("INSTALLED_MODELS", "`[]`"),
    ("HEARTBEAT_INTERVAL", "`15`"),
    ("WORKER_HEARTBEAT_DEBOUNCE_DELAY", "`0.1`"),
    ("WORKER_ENABLE_WEBSOCKETS", "`false`"),
    ("RESULT_MAX_RETRIES", "`5`"),
    ("RESULT_RETRY_INITIAL_DELAY", "`1.0`"),
    ("TASK_POLL_TIMEOUT", "`30`"),
    ("TASK_POLL_ERROR_DELAY", "`5.0`"),
    ("IDLE_POLL_DELAY", "`0.01`"),
    ("TASK_FILES_DIR", "`/tmp/payloads`"),
    ("S3_ENDPOINT_URL", "none"),
    ("S3_ACCESS_KEY", "none"),
    ("S3_SECRET_KEY", "none"),
    ("S3_DEFAULT_BUCKET", "`avtomatika-payloads`"),
    ("S3_REGION", "`us-east-1`"),
];

/// Beyond the reference.
const OURS: [(&str, &str); 27] = [
    ("WORKER_HOSTNAME", "the machine's name"),
    ("WORKER_IP_ADDRESS", "the machine's address"),
    ("GPU_ID", "`0`"),
    ("RAM_GB", "the machine's memory"),
    ("WORKER_DEVICES", "`[]`"),
    ("INSTALLED_ARTIFACTS", "`[]`"),
    ("WORKER_BLOB_CACHE_DIR", "none"),
    ("WORKER_BLOB_CACHE_SIZE", "`10240`"),
    ("WORKER_HOST", "`0.0.0.0`"),
    ("WORKER_SHUTDOWN_TIMEOUT", "`25`"),
    ("WORKER_SHUTDOWN_POLLS", "`auto`"),
    ("WORKER_OUTBOX_DIR", "none"),
    ("WORKER_RESULT_MAX_AGE", "`86400`"),
    ("RESULT_RESEND_AMBIGUOUS", "`true`"),
    ("WORKER_MAX_POLLERS", "`8`"),
    ("WORKER_TELEMETRY_DEADBAND", "`5`"),
    ("WORKER_TELEMETRY_FORCE_INTERVAL", "`60`"),
    ("STRICT_EVENT_VALIDATION", "`true`"),
    ("WORKER_CAPACITY_REPORTING", "`strict`"),
    ("WORKER_TASK_TIMEOUT", "none"),
    ("LOG_FORMAT", "`text`"),
    ("LOG_LEVEL", "`info`"),
    ("ORCHESTRATOR_SECRET_KEY", "none"),
    ("REQUIRE_TASK_SIGNATURE", "`true`"),
    ("HTTP_PROXY", "none"),
    ("HTTPS_PROXY", "none"),
    ("NO_PROXY", "none"),
];

#[test]
fn every_variable_is_there_once_with_its_default_and_no_other() {
    let expected: BTreeMap<&str, &str> = REFERENCE.into_iter().chain(OURS).collect();
    let known: BTreeMap<&str, &str> =
        OPTIONS.iter().map(|option| (option.variable, option.default)).collect();
    assert_eq!(known, expected);
    assert_eq!(known.len(), OPTIONS.len(), "none stands twice");
}

#[test]
fn the_defaults_that_are_told_are_those_that_hold() {
    let defaults = WorkerConfig::defaults();
    for option in OPTIONS {
        let Some(value) = option.default.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) else {
            assert_eq!(defaults.exposed_text(option.variable), None, "{}", option.variable);
            continue;
        };
        let mut read = WorkerConfig::defaults();
        read.reset(option.variable);
        read.assign(option.variable, value).unwrap_or_else(|wrong| panic!("{}: {wrong:?}", option.variable));
        assert!(read.agrees(&defaults, option.variable), "{}: {value}", option.variable);
    }
    assert_eq!(defaults.worker_token.expose(), PLACEHOLDER_TOKEN);
    assert!(defaults.check().is_ok());
}

#[test]
fn every_value_is_what_its_own_text_says() {
    let set = config(&[
        ("WORKER_ID", "w"),
        ("ORCHESTRATOR_URL", "wss://[::1]:9/x/"),
        (
            "ORCHESTRATORS_CONFIG",
            r#"[{"url":"http://a","token":"t"},{"url":"http://b","priority":-3,"weight":7,"cluster":"c"}]"#,
        ),
        ("MULTI_ORCHESTRATOR_MODE", "round_robin"),
        ("TLS_CA_PATH", "/a b"),
        ("S3_ENDPOINT_URL", "http://me:password@s3:9000"),
        ("HTTP_PROXY", "proxy:3128"),
        ("COST_PER_SKILL", r#"{"a": 0.1}"#),
        ("INSTALLED_MODELS", r#"[{"name":"m","version":"1"}]"#),
        ("TASK_POLL_TIMEOUT", "0.3"),
        ("WORKER_TASK_TIMEOUT", "1e3"),
        ("LOG_LEVEL", "WARNING"),
        ("WORKER_HOST", "localhost"),
        ("GPU_VRAM_GB", "23.5"),
        ("WORKER_DEVICES", r#"[{"type":"npu","id":"7","properties":{"arch":"x"}}]"#),
        ("INSTALLED_ARTIFACTS", r#"[{"name":"a"}]"#),
    ]);
    assert!(set.history.problems.is_empty(), "{:?}", set.history.problems);
    for option in OPTIONS {
        let Some(text) = set.exposed_text(option.variable) else { continue };
        let mut read = WorkerConfig::defaults();
        read.assign(option.variable, &text).unwrap_or_else(|wrong| panic!("{}: {wrong:?}", option.variable));
        assert!(read.agrees(&set, option.variable), "{}: {text}", option.variable);
    }
}

#[test]
fn what_an_error_expects_is_what_the_documentation_says() {
    let mut tried = 0;
    for option in OPTIONS {
        let mut config = WorkerConfig::defaults();
        let Err(problem) = ["?", "\u{7f}"].into_iter().try_for_each(|bad| config.set(option.variable, bad))
        else {
            continue;
        };
        tried += 1;
        assert!(problem.expected.starts_with(option.accepts), "{problem}");
    }
    assert!(tried >= 30, "{tried}");
}

#[test]
fn the_words_that_are_told_are_those_that_are_taken() {
    for (option, words) in OPTIONS.iter().filter_map(|option| Some((option, words(option.accepts)?))) {
        for word in words {
            for spelt in [word.to_owned(), word.to_uppercase(), word.to_lowercase(), format!(" {word}\n")] {
                let read = WorkerConfig::defaults().set(option.variable, &spelt);
                assert_eq!(read, Ok(()), "{} = {spelt}", option.variable);
            }
        }
    }
    let choices = OPTIONS.iter().filter(|option| words(option.accepts).is_some());
    assert_eq!(choices.count(), 9);
}

/// The words of a list of words.
fn words(accepts: &str) -> Option<Vec<&str>> {
    let list = accepts.starts_with('`').then(|| accepts.split('`').skip(1).step_by(2).collect::<Vec<_>>());
    list.filter(|words| words.len() > 1)
}

#[test]
fn every_row_says_something_in_every_column() {
    for option in OPTIONS {
        for text in [option.group, option.default, option.accepts, option.meaning] {
            assert!(!text.is_empty() && text.trim() == text && !text.contains('\n'), "{option:?}");
        }
        assert!(option.meaning.ends_with('.'), "{option:?}");
    }
    let groups: Vec<_> =
        OPTIONS.chunk_by(|one, next| one.group == next.group).map(|rows| rows[0].group).collect();
    let distinct: std::collections::BTreeSet<_> = groups.iter().collect();
    assert_eq!(distinct.len(), groups.len(), "a group's rows stand together: {groups:?}");
}
