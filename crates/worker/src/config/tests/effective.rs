//! The values in effect.

use super::*;

fn row(config: &WorkerConfig, variable: &str) -> (Option<String>, Source) {
    let rows = config.effective();
    let row = rows.into_iter().find(|row| row.option.variable == variable).expect("a row");
    (row.value, row.source)
}

#[test]
fn every_option_is_there_in_the_order_of_the_table() {
    let effective = WorkerConfig::defaults().effective();
    assert!(effective.iter().map(|row| row.option).eq(OPTIONS));
    assert!(effective.iter().all(|row| row.source == Source::Default));
}

#[test]
fn values_come_with_who_said_so() {
    let mut config = config(&[
        ("MAX_CONCURRENT_TASKS", "3"),
        ("HEARTBEAT_INTERVAL", "15"),
        ("WORKER_TYPE", "env"),
        ("LOG_LEVEL", "loud"),
        ("COST_PER_SKILL", "{"),
        ("IDLE_POLL_DELAY", ""),
    ])
    .worker_max_pollers(8usize);
    config.worker_type = "code".to_owned();
    config.set("CPU_CORES", "16").expect("a number");
    let text = |text: &str| Some(text.to_owned());
    for (variable, value, source) in [
        ("MAX_CONCURRENT_TASKS", text("3"), Source::Environment),
        ("HEARTBEAT_INTERVAL", text("15"), Source::Environment),
        ("WORKER_TYPE", text("code"), Source::Code),
        ("LOG_LEVEL", text("info"), Source::Default),
        ("COST_PER_SKILL", text("{}"), Source::Default),
        ("IDLE_POLL_DELAY", text("0.01"), Source::Default),
        ("WORKER_MAX_POLLERS", text("8"), Source::Code),
        ("CPU_CORES", text("16"), Source::Code),
        ("WORKER_ID", None, Source::Default),
    ] {
        assert_eq!(row(&config, variable), (value, source), "{variable}");
    }
}

#[test]
fn secrets_are_masked_and_addresses_have_no_credentials() {
    let config = config(&[
        ("WORKER_TOKEN", "secret"),
        ("ORCHESTRATOR_URL", "http://me:secret@h/api"),
        ("HTTPS_PROXY", "http://me:secret@p:1"),
        ("ORCHESTRATORS_CONFIG", r#"[{"url":"http://me:secret@a","token":"secret"},{"url":"http://b"}]"#),
    ]);
    for (variable, value) in [
        ("WORKER_TOKEN", "***"),
        ("ORCHESTRATOR_URL", "http://h/api"),
        ("HTTPS_PROXY", "http://p:1"),
        (
            "ORCHESTRATORS_CONFIG",
            r#"[{"priority":10,"token":"***","url":"http://a","weight":1},{"priority":10,"url":"http://b","weight":1}]"#,
        ),
    ] {
        assert_eq!(row(&config, variable), (Some(value.to_owned()), Source::Environment));
    }
}
