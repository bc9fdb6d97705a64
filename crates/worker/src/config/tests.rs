use super::*;

fn config(variables: &[(&str, &str)]) -> WorkerConfig {
    WorkerConfig::from_variables(
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

#[test]
fn all_wrong_variables_are_named_at_once_and_secrets_are_masked() {
    let error = config(&[
        ("HEARTBEAT_INTERVAL", "soon"),
        ("MAX_CONCURRENT_TASKS", "0"),
        ("WORKER_PORT", "65536"),
        ("ORCHESTRATOR_URL", "ftp://me:secret@h"),
        ("MULTI_ORCHESTRATOR_MODE", "RANDOM"),
        ("WORKER_ID", "a b"),
        ("ORCHESTRATORS_CONFIG", r#"[{"url":"http://u:secret@h","weight":0,"token":"secret"}]"#),
        ("WORKER_ENABLE_WEBSOCKETS", "maybe"),
        ("TASK_POLL_TIMEOUT", "0"),
        ("RESULT_RETRY_INITIAL_DELAY", "-1"),
        ("TASK_POLL_ERROR_DELAY", "NaN"),
        ("TLS_CA_PATH", "/no/such/file"),
        ("TLS_CERT_PATH", "/a"),
        ("HTTP_PROXY", "socks5://me:secret@p"),
    ])
    .check()
    .expect_err("every one is wrong");
    let text = error.to_string();
    assert_eq!(error.problems().len(), 14, "{text}");
    assert!(!text.contains("secret@") && !text.contains("\"secret\""), "{text}");
    assert!(
        text.contains("`HEARTBEAT_INTERVAL` is `soon`, expected a number of seconds, at least 0.05"),
        "{text}"
    );
    assert!(text.contains("entry 0 `weight` to be a whole number of at least 1, not `0`"), "{text}");
}

#[test]
fn setting_an_option_in_code_clears_its_problem() {
    let wrong = config(&[("MAX_CONCURRENT_TASKS", "many"), ("WORKER_ID", "a b")]);
    let mut by_name = wrong.clone();
    by_name.set("MAX_CONCURRENT_TASKS", "3").expect("a number");
    by_name.set("WORKER_ID", "w").expect("an identifier");
    assert!(by_name.check().is_ok() && by_name.max_concurrent_tasks == 3);
    assert!(
        wrong.clone().max_concurrent_tasks(10usize).worker_id(rxon::WorkerId::new("w").ok()).check().is_ok()
    );
    let mut by_field = wrong;
    by_field.max_concurrent_tasks = 5;
    assert_eq!(by_field.check().expect_err("the id is still wrong").problems().len(), 1);
    let error = by_field.set("MAX_CONCURENT_TASKS", "3").expect_err("a slip");
    assert!(error.to_string().contains("the nearest is `MAX_CONCURRENT_TASKS`"), "{error}");
}

#[test]
fn what_is_set_in_code_has_the_ranges_of_the_variables() {
    use std::time::Duration;
    let config = WorkerConfig::defaults()
        .heartbeat_interval(Duration::ZERO)
        .max_concurrent_tasks(0usize)
        .worker_max_pollers(5000usize)
        .task_poll_timeout(Duration::MAX)
        .worker_task_timeout(Duration::ZERO)
        .gpu_vram_gb(f64::NAN);
    let error = config.check().expect_err("all are out of range");
    assert_eq!(error.problems().len(), 6, "{error}");
    assert!(error.to_string().contains("`HEARTBEAT_INTERVAL` is `0`, expected"), "{error}");
    assert!(WorkerConfig::defaults().check().is_ok());
}

#[test]
fn no_time_is_too_long_for_a_clock() {
    use std::time::Duration;
    let config = WorkerConfig::defaults()
        .heartbeat_interval(Duration::MAX)
        .worker_heartbeat_debounce_delay(Duration::MAX)
        .result_retry_initial_delay(Duration::MAX)
        .task_poll_timeout(Duration::MAX)
        .task_poll_error_delay(Duration::MAX)
        .idle_poll_delay(Duration::MAX)
        .worker_shutdown_timeout(Duration::MAX)
        .worker_result_max_age(Duration::MAX)
        .worker_task_timeout(Duration::MAX);
    let error = config.check().expect_err("all are too long");
    assert_eq!(error.problems().len(), 9, "{error}");
    assert!(error.to_string().contains("`WORKER_SHUTDOWN_TIMEOUT`"), "{error}");
    let longest = WorkerConfig::defaults().worker_shutdown_timeout(Duration::from_secs(100 * 366 * 86_400));
    assert!(longest.check().is_ok());
    assert!(tokio::time::Instant::now().checked_add(longest.worker_shutdown_timeout).is_some());
}

#[test]
fn hosts_and_tokens_are_wrong_under_their_own_names() {
    let variables = |variables: &[(&str, &str)]| {
        let error = config(variables).check().expect_err("it is wrong");
        error.problems().iter().map(|problem| problem.variable.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        variables(&[
            ("ORCHESTRATOR_URL", "https://ho$t"),
            ("WORKER_TOKEN", "a\nb"),
            ("TLS_CA_PATH", "/none")
        ]),
        ["ORCHESTRATOR_URL", "TLS_CA_PATH", "WORKER_TOKEN"]
    );
    let entries = r#"[{"url":"http://a","token":"a\nb"}]"#;
    assert_eq!(variables(&[("ORCHESTRATORS_CONFIG", entries)]), ["ORCHESTRATORS_CONFIG"]);
    assert_eq!(variables(&[("WORKER_INDIVIDUAL_TOKEN", "a\u{7f}b")]), ["WORKER_INDIVIDUAL_TOKEN"]);
    let entries = r#"[{"url":"https://ho$t"}]"#;
    assert_eq!(variables(&[("ORCHESTRATORS_CONFIG", entries)]), ["ORCHESTRATORS_CONFIG"]);
}

#[test]
fn lenient_ones_are_warned_about_and_keep_their_defaults() {
    let config = config(&[
        ("ORCHESTRATORS_CONFIG", "not json"),
        ("COST_PER_SKILL", "{"),
        ("INSTALLED_SOFTWARE", "[]"),
        ("INSTALLED_MODELS", "5"),
        ("WORKER_PROT", "1"),
        ("ORCHESTRATOR_URL", "http://one"),
        ("WORKER_TOKEN", "t"),
    ]);
    assert!(config.check().is_ok());
    assert_eq!(config.installed_software["python"], "3.9");
    let warnings = config.warnings().join("\n");
    for expected in [
        "`ORCHESTRATORS_CONFIG`",
        "`COST_PER_SKILL`",
        "`INSTALLED_SOFTWARE`",
        "`INSTALLED_MODELS`",
        "`WORKER_PORT`?",
    ] {
        assert!(warnings.contains(expected), "{expected} in {warnings}");
    }
    assert_eq!(config.orchestrators()[0].url.to_string(), "http://one");
}

#[test]
fn orchestrators_are_sorted_by_priority_and_have_tokens() {
    let config = config(&[
        (
            "ORCHESTRATORS_CONFIG",
            r#"[{"url":"http://c","priority":20},{"url":"http://a","token":"own"},{"url":"http://b","weight":5}]"#,
        ),
        ("WORKER_TOKEN", "common"),
        ("WORKER_INDIVIDUAL_TOKEN", "individual"),
        ("ORCHESTRATOR_URL", "http://ignored"),
    ]);
    let orchestrators = config.orchestrators();
    let shown: Vec<_> = orchestrators
        .iter()
        .map(|entry| (entry.url.to_string(), entry.token.expose().to_owned(), entry.weight))
        .collect();
    let entry = |url: &str, token: &str, weight| (url.to_owned(), token.to_owned(), weight);
    assert_eq!(
        shown,
        [entry("http://a", "own", 1), entry("http://b", "individual", 5), entry("http://c", "individual", 1)]
    );
}

#[test]
fn the_placeholder_token_is_warned_about() {
    assert!(config(&[]).warnings().iter().any(|warning| warning.contains("`WORKER_TOKEN`")));
    assert!(config(&[("WORKER_TOKEN", "real")]).warnings().is_empty());
}

#[test]
fn an_empty_variable_counts_as_not_set_and_an_empty_list_too() {
    let config = config(&[("HEARTBEAT_INTERVAL", ""), ("WORKER_ID", " "), ("ORCHESTRATORS_CONFIG", "[]")]);
    assert!(config.check().is_ok());
    assert_eq!(config.orchestrators()[0].url.to_string(), "http://localhost:8080");
}

#[test]
fn secrets_are_not_printed() {
    let config = config(&[("WORKER_TOKEN", "very-secret"), ("S3_SECRET_KEY", "very-secret")]);
    assert!(!format!("{config:?}").contains("very-secret"));
}

#[test]
fn every_variable_stands_once_in_the_table() {
    let mut names: Vec<_> = OPTIONS.iter().map(|option| option.variable).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}
