//! The values that each variable accepts, and those it refuses.

use std::time::Duration;

use super::*;

/// Whether a variable may have that value; if not, it is the only one that is wrong, and its value is told.
#[track_caller]
fn takes(variable: &str, value: &str) -> bool {
    let told = told(&config(&[(variable, value)]));
    assert!(told.len() <= 1, "{told:?}");
    let begin = format!("`{variable}` is `{value}`, expected ");
    assert!(told.iter().all(|told| told.starts_with(&begin)), "{told:?}");
    told.is_empty()
}

#[track_caller]
fn check(variables: &[&str], taken: &[&str], refused: &[&str]) {
    for variable in variables {
        for value in taken {
            assert!(takes(variable, value), "{variable} = {value}");
        }
        for value in refused {
            assert!(!takes(variable, value), "{variable} = {value}");
        }
    }
}

const NO_NUMBERS: [&str; 12] =
    ["soon", "NaN", "inf", "-inf", "infinity", "0x10", "1,5", "1 2", "١", "1_000", "1s", "1e999"];

#[test]
fn heartbeats_are_at_least_a_twentieth_of_a_second_apart() {
    check(&["HEARTBEAT_INTERVAL"], &["0.05", "15", " 1.5 ", "1e3", "+2", ".5"], &["0.049", "0", "-1"]);
    check(&["HEARTBEAT_INTERVAL"], &[], &NO_NUMBERS);
}

#[test]
fn times_that_limit_are_above_0() {
    let timeouts = ["TASK_POLL_TIMEOUT", "WORKER_TASK_TIMEOUT", "WORKER_RESULT_MAX_AGE"];
    check(&timeouts, &["0.001", "30", "3162240000"], &["0", "0.0", "-0.1", "1e-300", "3162240001", "1e300"]);
    check(&timeouts, &[], &NO_NUMBERS);
}

#[test]
fn delays_are_at_least_0() {
    let delays = [
        "WORKER_HEARTBEAT_DEBOUNCE_DELAY",
        "RESULT_RETRY_INITIAL_DELAY",
        "TASK_POLL_ERROR_DELAY",
        "IDLE_POLL_DELAY",
        "WORKER_SHUTDOWN_TIMEOUT",
    ];
    check(&delays, &["0", "0.01", "5", "-0"], &["-0.001", "-1", "3162240001"]);
    check(&delays, &[], &NO_NUMBERS);
    let told = told(&config(&[("IDLE_POLL_DELAY", "1e300")]));
    assert!(told[0].ends_with("expected a number of seconds, at least 0 (at most a century)"), "{told:?}");
}

#[test]
fn whole_numbers_have_their_ranges() {
    let too_large = "18446744073709551616";
    check(
        &["MAX_CONCURRENT_TASKS"],
        &["1", " 10000 ", "007"],
        &["0", "10001", "-1", "10.0", "1e3", too_large],
    );
    check(&["WORKER_MAX_POLLERS"], &["1", "1000"], &["0", "1001", "-1", "8.0", too_large]);
    check(&["WORKER_PORT"], &["0", "65535"], &["65536", "-1", "80.0", "http", too_large]);
    check(&["RESULT_MAX_RETRIES", "CPU_CORES"], &["0", "5", "4294967296"], &["-1", "5.0", too_large]);
    for variable in
        ["MAX_CONCURRENT_TASKS", "WORKER_MAX_POLLERS", "WORKER_PORT", "RESULT_MAX_RETRIES", "CPU_CORES"]
    {
        check(&[variable], &[], &NO_NUMBERS);
    }
    check(&["GPU_VRAM_GB"], &["0", "24", "23.5"], &["-1"]);
    check(&["GPU_VRAM_GB"], &[], &NO_NUMBERS);
}

#[test]
fn booleans_are_words_and_digits_in_any_case() {
    let variables = ["WORKER_ENABLE_WEBSOCKETS", "RESULT_RESEND_AMBIGUOUS", "REQUIRE_TASK_SIGNATURE"];
    let taken = ["true", "TRUE", "Yes", "on", "1", "false", "False", "NO", "oFF", "0", " true "];
    check(&variables, &taken, &["maybe", "2", "t", "y", "enabled", "truefalse", "-1", "1.0"]);
    for (value, expected) in
        [("YES", true), ("on", true), ("1", true), ("Off", false), ("no", false), ("0", false)]
    {
        let config = config(&[("WORKER_ENABLE_WEBSOCKETS", value), ("REQUIRE_TASK_SIGNATURE", value)]);
        assert_eq!(
            (config.worker_enable_websockets, config.require_task_signature),
            (expected, expected),
            "{value}"
        );
    }
}

#[test]
fn choices_are_words_in_any_case() {
    let levels = ["error", "warn", "Warning", "INFO", "debug", "Trace"];
    check(&["LOG_LEVEL"], &levels, &["loud", "critical", "fatal", "info,debug", "10"]);
    assert_eq!(config(&[("LOG_LEVEL", "WARNING")]).log_level, LogLevel::WARN);
    check(&["LOG_FORMAT"], &["text", "JSON"], &["xml"]);
    check(&["WORKER_SHUTDOWN_POLLS"], &["Auto", "AWAIT", "drop"], &["never"]);
    check(&["WORKER_CAPACITY_REPORTING"], &["Strict", "QUEUE"], &["lenient"]);
    check(
        &["MULTI_ORCHESTRATOR_MODE"],
        &["failover", "Round_Robin", "WATERFALL"],
        &["RANDOM", "ROUND-ROBIN"],
    );
}

#[test]
fn the_id_is_an_identifier() {
    let longest = "x".repeat(128);
    check(&["WORKER_ID"], &["w", "W-1_a", &longest], &["a b", "ä", "a/b", "../x", "a.b", "w\u{200b}"]);
    let told = told(&config(&[("WORKER_ID", &"x".repeat(1000))]));
    assert!(told[0].len() < 300, "cut to what fits into a line: {}", told[0]);
}

#[test]
fn hosts_are_addresses_or_localhost() {
    check(
        &["WORKER_HOST"],
        &["0.0.0.0", "::", "127.0.0.1", "localhost"],
        &["host", "0.0.0.0:80", "1.2.3", "[::]"],
    );
}

#[test]
fn an_orchestrators_address_has_a_scheme_a_host_and_perhaps_a_prefix() {
    for (value, shown) in [
        ("http://h", "http://h"),
        ("https://h:1/", "https://h:1"),
        ("ws://h/api/", "http://h/api"),
        ("wss://h/a/b", "https://h/a/b"),
        ("WSS://h", "https://h"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("http://me:password@h:1/p", "http://h:1/p"),
        (" http://h ", "http://h"),
    ] {
        let config = config(&[("ORCHESTRATOR_URL", value)]);
        assert_eq!(told(&config), [""; 0], "{value}");
        assert_eq!(config.orchestrators()[0].url.to_string(), shown);
    }
    let refused = [
        "h:8080",
        "localhost",
        "mock://h",
        "ftp://h",
        "http://",
        "http://h:0",
        "http://h:65536",
        "https://ho$t",
    ];
    check(&["ORCHESTRATOR_URL"], &[], &refused);
    let told = told(&config(&[("ORCHESTRATOR_URL", "mock://h")]));
    assert!(told[0].contains("(expected the scheme http, https, ws or wss)"), "{told:?}");
}

#[test]
fn storages_and_proxies_have_addresses_without_which_nothing_starts() {
    check(
        &["S3_ENDPOINT_URL"],
        &["http://minio:9000", "https://s3.example.com"],
        &["minio:9000", "s3://b", "ws://h"],
    );
    let proxies = ["HTTP_PROXY", "HTTPS_PROXY"];
    check(&proxies, &["http://p:3128", "p:3128", "p"], &["https://p", "socks5://p", "http://"]);
}

#[test]
fn proxies_are_read_in_both_cases_and_the_upper_one_wins() {
    let lower = config(&[("http_proxy", "lower:1"), ("no_proxy", "here"), ("HTTPS_PROXY", " ")]);
    let upper = config(&[("http_proxy", "lower:1"), ("HTTP_PROXY", "upper:1"), ("https_proxy", "tls:2")]);
    assert_eq!(lower.http_proxy, Some("lower:1".into()));
    assert_eq!((lower.no_proxy.as_deref(), lower.https_proxy), (Some("here"), None));
    assert_eq!(
        (upper.http_proxy.clone(), upper.https_proxy.clone()),
        (Some("upper:1".into()), Some("tls:2".into()))
    );
    let used = format!("{:?}", upper.proxies());
    assert!(used.contains("upper:1") && used.contains("tls:2"), "{used}");
    assert_eq!(wrong(&[("https_proxy", "socks5://p")]), ["HTTPS_PROXY"]);
    assert_eq!(config(&[("worker_type", "lower"), ("Worker_Id", "w")]).worker_type, "generic-cpu-worker");
}

#[test]
fn tokens_can_stand_in_a_header() {
    assert_eq!(wrong(&[("WORKER_TOKEN", "a\nb")]), ["WORKER_TOKEN"]);
    let both = [("WORKER_TOKEN", "a\u{7f}b"), ("WORKER_INDIVIDUAL_TOKEN", "a\u{1b}b")];
    assert_eq!(wrong(&both), ["WORKER_TOKEN", "WORKER_INDIVIDUAL_TOKEN"]);
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let defaults = WorkerConfig::defaults();
    for option in OPTIONS {
        for empty in ["", " ", "\t\n"] {
            let config = config(&[(option.variable, empty)]);
            assert!(
                config.check().is_ok() && config.agrees(&defaults, option.variable),
                "{}",
                option.variable
            );
            assert_eq!(config.warnings(), defaults.warnings(), "{}", option.variable);
        }
    }
}

#[test]
fn json_that_is_wrong_is_a_warning_that_names_the_variable_and_the_default_counts() {
    let defaults = WorkerConfig::defaults();
    for (variable, values) in [
        ("COST_PER_SKILL", ["{", "[]", r#"{"a": "cheap"}"#, "{a: 1}"]),
        ("INSTALLED_SOFTWARE", ["nothing", "[]", r#"{"python": 3.9}"#, "null"]),
        ("INSTALLED_MODELS", ["[", "{}", r#"["m"]"#, r#"[{"version": "1"}]"#]),
    ] {
        for value in values {
            let config = config(&[(variable, value), ("WORKER_TOKEN", "t")]);
            assert!(config.check().is_ok() && config.agrees(&defaults, variable), "{variable} = {value}");
            let warnings = config.warnings();
            let option = find(variable).expect("an option");
            let expected = format!("`{variable}` is ignored, expected {} (", option.accepts);
            assert!(warnings.len() == 1 && warnings[0].starts_with(&expected), "{value}: {warnings:?}");
        }
    }
    let right = config(&[
        ("COST_PER_SKILL", r#"{"a": 1, "b": 0.5}"#),
        ("INSTALLED_SOFTWARE", r#"{"ffmpeg": "7"}"#),
        ("INSTALLED_MODELS", r#"[{"name": "m", "version": "1", "more": 1}]"#),
        ("WORKER_TOKEN", "t"),
    ]);
    assert_eq!(right.warnings(), [""; 0]);
    assert_eq!((right.cost_per_skill["a"], right.installed_models.len()), (1.0, 1));
    assert_eq!(right.installed_software, BTreeMap::from([("ffmpeg".to_owned(), "7".to_owned())]));
}

#[test]
fn what_is_told_stays_on_its_line() {
    let told = told(&config(&[("LOG_LEVEL", "loud\nERROR forged\u{1b}[31m")]));
    assert!(!told[0].contains(['\n', '\u{1b}']), "{told:?}");
    let warnings = config(&[("WORKER_TOKEN", "t"), ("WORKER_\nERROR forged", "1")]).warnings();
    assert!(warnings.len() == 1 && !warnings[0].contains('\n'), "{warnings:?}");
}

#[test]
fn a_number_of_seconds_is_a_duration() {
    let config =
        config(&[("TASK_POLL_TIMEOUT", "0.5"), ("WORKER_TASK_TIMEOUT", "2"), ("IDLE_POLL_DELAY", "1e-3")]);
    assert_eq!(config.task_poll_timeout, Duration::from_millis(500));
    assert_eq!(config.worker_task_timeout, Some(Duration::from_secs(2)));
    assert_eq!(config.idle_poll_delay, Duration::from_millis(1));
}

/// A value for each option that is not its default, in the spelling without quotes.
fn sample(option: &OptionInfo) -> &'static str {
    match option.variable {
        "WORKER_ID" => "w-1",
        "ORCHESTRATOR_URL" => "https://h/prefix",
        "ORCHESTRATORS_CONFIG" => r#"[{"url": "http://h", "token": "t"}]"#,
        "MULTI_ORCHESTRATOR_MODE" => "WATERFALL",
        "HTTP_PROXY" | "HTTPS_PROXY" | "S3_ENDPOINT_URL" => "http://h:3128",
        "WORKER_CAPACITY_REPORTING" => "queue",
        "COST_PER_SKILL" => r#"{"a": 1}"#,
        "INSTALLED_SOFTWARE" => r#"{"ffmpeg": "7"}"#,
        "INSTALLED_MODELS" => r#"[{"name": "m", "version": "1"}]"#,
        "INSTALLED_ARTIFACTS" => r#"[{"name": "a"}]"#,
        "WORKER_DEVICES" => r#"[{"type": "npu"}]"#,
        "WORKER_SHUTDOWN_POLLS" => "drop",
        "WORKER_HOST" => "127.0.0.1",
        "LOG_FORMAT" => "json",
        "LOG_LEVEL" => "debug",
        _ if option.accepts.contains("`false`") => {
            if option.default == "`true`" {
                "no"
            } else {
                "yes"
            }
        }
        _ if option.accepts.contains("number") || option.variable == "WORKER_PORT" => "7",
        _ if option.accepts == parse::PATH.text => "/data/with space",
        _ => "sample",
    }
}

#[test]
fn spaces_line_ends_and_quotes_around_a_value_are_never_part_of_it() {
    let defaults = WorkerConfig::defaults();
    for option in OPTIONS {
        let (name, value) = (option.variable, sample(option));
        let plain = config(&[(name, value)]);
        assert!(!plain.agrees(&defaults, name), "{name} = {value}");
        for spelt in [
            format!("{value}\n"),
            format!("\t {value} \r\n"),
            format!("\"{value}\""),
            format!("'{value}'"),
            format!(" ' {value} '\n"),
            format!("'\"{value}\"'"),
        ] {
            let read = config(&[(name, &spelt)]);
            assert!(read.agrees(&plain, name) && read.history.problems.is_empty(), "{name} = {spelt}");
            let mut set = WorkerConfig::defaults();
            assert!(set.set(name, &spelt).is_ok() && set.agrees(&plain, name), "{name} = {spelt}");
        }
        // A line end within a value is refused, or the JSON around it is.
        let broken = format!("{value}\n{value}");
        let read = config(&[(name, &broken)]);
        assert_eq!(read.history.problems.len() + read.history.ignored.len(), 1, "{name} = {broken}");
        assert!(read.agrees(&defaults, name) && defaults.clone().set(name, &broken).is_err(), "{name}");
        for empty in ["\"\"", "''", " '\t' "] {
            assert!(config(&[(name, empty)]).agrees(&defaults, name), "{name} = {empty}");
        }
    }
    let extra = config(&[("WORKER_EXTRA_ZONE", "'a b'\n"), ("WORKER_EXTRA_COUNT", "2\n")]);
    assert_eq!(serde_json::json!(extra.extra_capabilities()), serde_json::json!({"zone": "a b", "count": 2}));
}
