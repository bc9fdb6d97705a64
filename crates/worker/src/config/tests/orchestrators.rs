//! Which orchestrators, with which tokens.

use super::*;

/// The sentence in brackets for a list of orchestrators that is wrong.
#[track_caller]
fn faults(entries: &str) -> String {
    let told = told(&config(&[("ORCHESTRATORS_CONFIG", entries)]));
    assert_eq!(told.len(), 1, "{entries}: {told:?}");
    let begin = "`ORCHESTRATORS_CONFIG` is `***`, expected a JSON list of objects with `url`, \
                 and optionally `priority`, `weight`, `token` and `cluster`";
    let rest = told[0].strip_prefix(begin).unwrap_or_else(|| panic!("{told:?}"));
    rest.trim_start_matches(" (").trim_end_matches(')').to_owned()
}

fn urls(config: &WorkerConfig) -> Vec<String> {
    config.orchestrators().iter().map(|entry| entry.url.to_string()).collect()
}

#[test]
fn what_is_no_json_is_a_warning_and_the_single_address_counts() {
    for text in ["not json", "[{", "{'url': 'http://a'}", "http://a"] {
        let config = config(&[
            ("ORCHESTRATORS_CONFIG", text),
            ("ORCHESTRATOR_URL", "http://one"),
            ("WORKER_TOKEN", "t"),
        ]);
        assert!(config.check().is_ok(), "{text}");
        let warnings = config.warnings();
        assert!(
            warnings.len() == 1 && warnings[0].starts_with("`ORCHESTRATORS_CONFIG` is ignored"),
            "{warnings:?}"
        );
        assert_eq!(urls(&config), ["http://one"], "{text}");
    }
    assert_eq!(urls(&config(&[("ORCHESTRATORS_CONFIG", "not json")])), ["http://localhost:8080"]);
}

#[test]
fn an_empty_list_and_null_count_as_not_set() {
    for text in ["[]", "null", " [ ] "] {
        let config = config(&[
            ("ORCHESTRATORS_CONFIG", text),
            ("ORCHESTRATOR_URL", "http://one"),
            ("WORKER_TOKEN", "t"),
        ]);
        assert!(config.check().is_ok() && config.warnings().is_empty(), "{text}");
        assert_eq!(urls(&config), ["http://one"], "{text}");
    }
}

#[test]
fn the_list_wins_over_the_single_address() {
    let config =
        config(&[("ORCHESTRATORS_CONFIG", r#"[{"url":"http://a"}]"#), ("ORCHESTRATOR_URL", "http://one")]);
    assert_eq!(urls(&config), ["http://a"]);
}

#[test]
fn what_is_json_but_no_list_of_orchestrators_is_an_error() {
    for (entries, expected) in [
        ("{}", ""),
        ("5", ""),
        ("true", ""),
        (r#"["http://a"]"#, "entry 0: expected an object"),
        ("[{}]", "entry 0: there is no `url`"),
        (r#"[{"url": null}]"#, "entry 0: there is no `url`"),
        (r#"[{"url": 5}]"#, "entry 0: `url` is not a string"),
        (r#"[{"url": ""}]"#, "entry 0: `url` is ``, expected something like"),
        (
            r#"[{"url": "ftp://h"}]"#,
            "entry 0: `url` is `ftp://h`, expected the scheme http, https, ws or wss",
        ),
        (r#"[{"url": "mock://h"}]"#, "expected the scheme"),
        (r#"[{"url": "http://a", "weight": 0}]"#, "entry 0: `weight` is `0`, expected a whole number, 1 to"),
        (r#"[{"url": "http://a", "weight": 1.5}]"#, "entry 0: `weight` is `1.5`"),
        (r#"[{"url": "http://a", "weight": "2"}]"#, "entry 0: `weight` is not a number"),
        (r#"[{"url": "http://a", "priority": "high"}]"#, "entry 0: `priority` is not a number"),
        (
            r#"[{"url": "http://a", "priority": 1.0}]"#,
            "entry 0: `priority` is `1.0`, expected a whole number",
        ),
        (
            r#"[{"url": "http://a", "cluster": ""}]"#,
            "entry 0: `cluster` is not the name of a cluster, expected a text",
        ),
        (r#"[{"url": "http://a", "cluster": ["b"]}]"#, "entry 0: `cluster` is not the name of a cluster"),
        (r#"[{"url": "http://a", "cluster": " b"}]"#, "without spaces around it"),
        (r#"[{"url": "http://a", "cluster": "b\nc"}]"#, "entry 0: `cluster`"),
        (r#"[{"url": "http://a", "token": 5}]"#, "entry 0: `token` is `***`, expected a token"),
        (r#"[{"url": "http://a", "token": "a\nb"}]"#, "entry 0: `token` is `***`, expected a token"),
    ] {
        let faults = faults(entries);
        assert!(faults.contains(expected) && faults.is_empty() == expected.is_empty(), "{entries}: {faults}");
    }
}

#[test]
fn every_wrong_entry_is_told_at_once_without_its_secrets() {
    let told = faults(
        r#"[{"url": "ftp://me:secret@h", "weight": 0, "token": "secret\n"}, {"url": "http://fine", "token": "secret"},
            5, {"token": "secret", "priority": "secret"}, {"url": "http://b", "weight": "secret"}]"#,
    );
    let entries =
        ["entry 0: `url`", "entry 0: `weight`", "entry 0: `token`", "entry 2:", "entry 3: there is no `url`"];
    for expected in entries.into_iter().chain(["entry 3: `priority`", "entry 4: `weight`"]) {
        assert!(told.contains(expected), "{expected} in {told}");
    }
    assert!(!told.contains("secret") && !told.contains("entry 1"), "{told}");
}

#[test]
fn one_orchestrator_twice_is_an_error_that_names_both() {
    let told = faults(r#"[{"url": "http://a/x"}, {"url": "https://a/x"}, {"url": "WS://u:secret@A:80/x/"}]"#);
    assert_eq!(told, "entries 0 and 2 have the same `url`, `http://A:80/x`");
    let told = faults(r#"[{"url": "https://a"}, {"url": "wss://a:443"}, {"url": "https://A"}]"#);
    assert!(told.contains("entries 0 and 1") && told.contains("entries 0 and 2"), "{told}");
    let different = r#"[{"url":"http://a"},{"url":"https://a"},{"url":"http://a:443"},{"url":"http://a/A"},{"url":"http://a/a"}]"#;
    assert!(config(&[("ORCHESTRATORS_CONFIG", different)]).check().is_ok());
}

#[test]
fn an_unknown_key_is_a_warning_with_the_nearest_one() {
    let entries = r#"[{"url": "http://a", "tokne": "secret"}, {"url": "http://b", "wieght": 2}]"#;
    let mut config = config(&[("ORCHESTRATORS_CONFIG", entries), ("WORKER_TOKEN", "t")]);
    assert!(config.check().is_ok());
    assert_eq!(
        config.warnings(),
        [
            "`ORCHESTRATORS_CONFIG`: entry 0 has an unknown key `tokne`; did you mean `token`?",
            "`ORCHESTRATORS_CONFIG`: entry 1 has an unknown key `wieght`; did you mean `weight`?",
        ]
    );
    let problem =
        config.set("ORCHESTRATORS_CONFIG", entries).expect_err("in code it is an error").to_string();
    assert!(problem.contains("`token`") && !problem.contains("secret"), "{problem}");
    config.orchestrators_config.clear();
    assert_eq!(config.warnings(), [""; 0], "code had the last word");
}

#[test]
fn they_are_sorted_by_priority_then_as_listed_and_have_tokens() {
    let entries = r#"[{"url":"http://c","priority":20},{"url":"http://a","token":"own"},
        {"url":"http://b","weight":5,"priority":null,"token":""},{"url":"http://first","priority":-1}]"#;
    let variables = [
        ("ORCHESTRATORS_CONFIG", entries),
        ("WORKER_TOKEN", "common"),
        ("WORKER_INDIVIDUAL_TOKEN", "individual"),
    ];
    let shown = |config: &WorkerConfig| -> Vec<_> {
        let orchestrators = config.orchestrators().into_iter();
        orchestrators
            .map(|entry| {
                (entry.url.to_string(), entry.token.expose().to_owned(), entry.weight, entry.priority)
            })
            .collect()
    };
    let entry = |url: &str, token: &str, weight, priority| {
        (format!("http://{url}"), token.to_owned(), weight, priority)
    };
    assert_eq!(
        shown(&config(&variables)),
        [
            entry("first", "individual", 1, -1),
            entry("a", "own", 1, 10),
            entry("b", "individual", 5, 10),
            entry("c", "individual", 1, 20)
        ]
    );
    assert_eq!(shown(&config(&variables[..2]))[0], entry("first", "common", 1, -1));
    let single = config(&[("WORKER_TOKEN", "common"), ("WORKER_INDIVIDUAL_TOKEN", "individual")]);
    assert_eq!(single.orchestrators()[0].token.expose(), "individual");
}

#[test]
fn the_placeholder_token_is_warned_about_where_it_counts() {
    let warned =
        |variables: &[(&str, &str)]| config(variables).warnings().join("\n").matches("placeholder").count();
    assert_eq!(warned(&[]), 1);
    assert_eq!(warned(&[("WORKER_TOKEN", PLACEHOLDER_TOKEN)]), 1);
    assert_eq!(warned(&[("WORKER_TOKEN", "real")]), 0);
    assert_eq!(warned(&[("WORKER_INDIVIDUAL_TOKEN", "real")]), 0);
    let entries = r#"[{"url":"http://a","token":"real"},{"url":"http://b"}]"#;
    assert_eq!(warned(&[("ORCHESTRATORS_CONFIG", entries)]), 1);
    assert!(config(&[]).warnings()[0].contains("`WORKER_TOKEN`"));
}

#[test]
fn entries_with_one_cluster_name_are_one_orchestrator_and_a_lonely_one_is_a_warning() {
    let entries = r#"[{"url":"http://c","cluster":"x","priority":20},{"url":"http://single"},
        {"url":"http://a","cluster":"x","weight":3},{"url":"http://other","cluster":null},{"url":"http://b","cluster":"y"}]"#;
    let config = config(&[("ORCHESTRATORS_CONFIG", entries), ("WORKER_TOKEN", "t")]);
    assert!(config.check().is_ok());
    let orchestrators = crate::config::by_cluster(config.orchestrators());
    let urls: Vec<Vec<String>> = orchestrators
        .iter()
        .map(|entries| entries.iter().map(|entry| entry.url.to_string()).collect())
        .collect();
    assert_eq!(
        urls,
        [vec!["http://single"], vec!["http://a", "http://c"], vec!["http://other"], vec!["http://b"]]
    );
    assert_eq!(
        config.warnings(),
        ["`ORCHESTRATORS_CONFIG`: only one entry belongs to the cluster `y`: is its name misspelt?"]
    );
    let text = config.effective();
    assert!(format!("{text:?}").contains(r#"\"cluster\":\"x\""#), "{text:?}");
}
