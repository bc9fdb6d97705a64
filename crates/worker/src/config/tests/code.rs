//! Values that are set in code.

use std::time::Duration;

use super::*;

#[test]
fn what_is_wrong_by_name_is_told_with_everything_else() {
    let read = config(&[("MAX_CONCURRENT_TASKS", "many"), ("HEARTBEAT_INTERVAL", "soon")]);
    let set =
        read.option("MAX_CONCURRENT_TASKS", "0").option("WORKER_PORT", "x").option("NO_SUCH", "a-secret");
    let problems = set.check().expect_err("wrong").to_string();
    for said in [
        "`MAX_CONCURRENT_TASKS` is `0`",
        "`HEARTBEAT_INTERVAL` is `soon`",
        "`WORKER_PORT` is `x`",
        "`NO_SUCH`",
    ] {
        assert!(problems.contains(said), "{said}: {problems}");
    }
    assert!(!problems.contains("many") && !problems.contains("a-secret"), "{problems}");
    let by_method = set.clone().max_concurrent_tasks(4usize).option("WORKER_PORT", "80");
    let left = by_method.check().expect_err("two are left").to_string();
    assert!(!left.contains("MAX_CONCURRENT_TASKS") && !left.contains("WORKER_PORT"), "{left}");
    let mut by_name = WorkerConfig::defaults().option("WORKER_PORT", "x");
    by_name.set("WORKER_PORT", "80").expect("a port");
    assert!(by_name.check().is_ok() && by_name.worker_port == 80);
}

#[test]
fn code_has_the_last_word_in_each_of_three_ways() {
    let variables =
        [("MAX_CONCURRENT_TASKS", "3"), ("WORKER_TYPE", "env"), ("ORCHESTRATOR_URL", "http://env")];
    let read = config(&variables);
    assert_eq!((read.max_concurrent_tasks, read.worker_type.as_str()), (3, "env"));
    let by_method = read.clone().max_concurrent_tasks(4usize).orchestrator_url("http://code".parse().ok());
    assert_eq!((by_method.max_concurrent_tasks, by_method.worker_type.as_str()), (4, "env"));
    assert_eq!(by_method.orchestrators()[0].url.to_string(), "http://code");
    let mut by_name = read.clone();
    by_name.set("ORCHESTRATOR_URL", "http://code").expect("an address");
    assert_eq!(by_name.orchestrators()[0].url.to_string(), "http://code");
    let mut by_field = read;
    by_field.worker_type = "code".to_owned();
    assert_eq!((by_field.max_concurrent_tasks, by_field.worker_type.as_str()), (3, "code"));
}

#[test]
fn setting_an_option_in_code_clears_its_variables_problem() {
    let wrong = config(&[("MAX_CONCURRENT_TASKS", "many"), ("WORKER_ID", "a b")]);
    assert_eq!(told(&wrong).len(), 2);
    let mut by_name = wrong.clone();
    by_name.set("MAX_CONCURRENT_TASKS", "3").expect("a number");
    by_name.set("WORKER_ID", "w").expect("an identifier");
    assert!(by_name.check().is_ok() && by_name.max_concurrent_tasks == 3);
    let by_method = wrong.clone().max_concurrent_tasks(10usize).worker_id(rxon::WorkerId::new("w").ok());
    assert!(by_method.check().is_ok(), "to the default, too");
    let mut by_field = wrong.clone();
    by_field.max_concurrent_tasks = 5;
    assert_eq!(told(&by_field).len(), 1, "the id is still wrong");
    let mut refused = wrong;
    refused.set("WORKER_ID", "still wrong").expect_err("a space");
    assert_eq!(told(&refused).len(), 2, "what was not set changes nothing");
}

#[test]
fn setting_an_option_in_code_clears_its_variables_warning() {
    let config = config(&[("COST_PER_SKILL", "{"), ("ORCHESTRATORS_CONFIG", "no"), ("WORKER_TOKEN", "t")]);
    assert_eq!(config.warnings().len(), 2);
    let mut config = config.cost_per_skill(BTreeMap::new());
    assert_eq!(config.warnings().len(), 1);
    config.set("ORCHESTRATORS_CONFIG", "[]").expect("a list");
    assert_eq!(config.warnings(), [""; 0]);
}

#[test]
fn by_name_nothing_is_let_pass() {
    let mut config = WorkerConfig::defaults();
    for (variable, value) in
        [("COST_PER_SKILL", "{"), ("ORCHESTRATORS_CONFIG", "no"), ("INSTALLED_MODELS", "{}")]
    {
        let problem = config.set(variable, value).expect_err("no such JSON");
        assert_eq!(problem.variable, variable);
    }
    let problem = config.set("MAX_CONCURENT_TASKS", "a-secret").expect_err("a slip").to_string();
    assert!(
        problem.contains("the nearest is `MAX_CONCURRENT_TASKS`") && !problem.contains("a-secret"),
        "{problem}"
    );
    assert!(config.check().is_ok());
}

#[test]
fn an_empty_text_by_name_is_the_default() {
    let mut config =
        config(&[("WORKER_TASK_TIMEOUT", "5"), ("WORKER_ID", "w"), ("HEARTBEAT_INTERVAL", "soon")]);
    for variable in ["WORKER_TASK_TIMEOUT", "WORKER_ID", "HEARTBEAT_INTERVAL"] {
        config.set(variable, " ").expect("not set");
    }
    assert_eq!((config.worker_task_timeout, config.worker_id.clone()), (None, None));
    assert!(config.check().is_ok() && config.heartbeat_interval == Duration::from_secs(15));
}

#[test]
fn what_is_set_in_code_has_the_ranges_of_the_variables() {
    let mut entry = config(&[]).orchestrators().remove(0);
    entry.weight = 0;
    let mut config = WorkerConfig::defaults()
        .heartbeat_interval(Duration::ZERO)
        .max_concurrent_tasks(0usize)
        .worker_max_pollers(5000usize)
        .worker_task_timeout(Duration::ZERO)
        .gpu_vram_gb(f64::NAN)
        .cost_per_skill(BTreeMap::from([("a".to_owned(), f64::INFINITY)]))
        .orchestrators_config(vec![entry])
        .worker_token("line\nbreak-secret")
        .s3_endpoint_url(Address::new("ftp://me:secret@h"))
        .worker_type(" ");
    config.http_proxy = Some("socks5://me:secret@p".into());
    let told = told(&config);
    assert_eq!(told.len(), 11, "{told:#?}");
    assert!(!told.concat().contains("secret"), "{told:#?}");
    assert!(
        told.contains(&"`HEARTBEAT_INTERVAL` is `0`, expected a number of seconds, at least 0.05".to_owned())
    );
    assert!(told.concat().contains("entry 0: `weight` is `0`"), "{told:#?}");
}

#[test]
fn no_time_is_too_long_for_a_clock() {
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
fn a_value_by_name_has_the_simplest_type_that_says_it() {
    let config = config(&[
        ("WORKER_TOKEN", "a-secret"),
        ("ORCHESTRATORS_CONFIG", r#"[{"url": "http://a", "token": "another-secret"}]"#),
        ("S3_ENDPOINT_URL", "http://me:password@h"),
        ("COST_PER_SKILL", r#"{"a": 0.1}"#),
    ]);
    let table = [
        ("WORKER_TOKEN", OptionValue::Text("a-secret".to_owned())),
        ("S3_ENDPOINT_URL", OptionValue::Text("http://me:password@h".to_owned())),
        ("WORKER_ID", OptionValue::Missing),
        ("WORKER_ENABLE_WEBSOCKETS", OptionValue::Boolean(false)),
        ("MAX_CONCURRENT_TASKS", OptionValue::Whole(10)),
        ("WORKER_PORT", OptionValue::Whole(8083)),
        ("WORKER_HEARTBEAT_DEBOUNCE_DELAY", OptionValue::Number(0.1)),
        ("WORKER_TASK_TIMEOUT", OptionValue::Missing),
        ("GPU_VRAM_GB", OptionValue::Number(0.0)),
        ("COST_PER_SKILL", OptionValue::Json(r#"{"a":0.1}"#.to_owned())),
        ("LOG_LEVEL", OptionValue::Text("info".to_owned())),
    ];
    for (variable, value) in table {
        assert!(config.get(variable) == Some(value), "{variable}");
    }
    assert!(OPTIONS.iter().all(|option| config.get(option.variable).is_some()));
    assert!(config.get("WORKER_TOKENS").is_none());
    let Some(OptionValue::Json(entries)) = config.get("ORCHESTRATORS_CONFIG") else { panic!("no list") };
    assert!(entries.contains("another-secret"), "{entries}");
    let values: Vec<_> = OPTIONS.iter().map(|option| config.get(option.variable)).collect();
    let shown = format!("{values:?}");
    assert!(!shown.contains("secret") && !shown.contains("password"), "{shown}");
}

#[test]
fn what_orchestrators_are_told_besides_can_be_replaced() {
    let mut config = config(&[("WORKER_EXTRA_RACK", "7")]);
    assert_eq!(config.extra_capabilities()["rack"], 7);
    config.set_extra_capabilities(BTreeMap::from([("row".to_owned(), "b".into())]));
    assert_eq!(config.extra_capabilities(), &BTreeMap::from([("row".to_owned(), "b".into())]));
}

#[test]
fn a_fallback_id_is_the_workers_name_until_one_is_set() {
    let id = |text| rxon::WorkerId::new(text).expect("an identifier");
    let config = config(&[]).fallback_worker_id(id("made-up"));
    assert_eq!((config.worker_id.clone(), config.known_worker_id()), (None, Some(id("made-up"))));
    assert_eq!(config.worker_id(id("set")).known_worker_id(), Some(id("set")));
}
