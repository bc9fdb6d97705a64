//! Problems all at once, and never a secret.

use super::*;

#[test]
fn all_wrong_variables_are_named_at_once_in_the_order_of_the_table() {
    let variables = [
        ("WORKER_ID", "a b"),
        ("ORCHESTRATOR_URL", "ftp://me:secret@h"),
        ("ORCHESTRATORS_CONFIG", r#"[{"url":"http://u:secret@h","weight":0,"token":"secret"}]"#),
        ("MULTI_ORCHESTRATOR_MODE", "RANDOM"),
        ("TLS_CA_PATH", "/no/such/file"),
        ("TLS_CERT_PATH", "/no/certificate"),
        ("TLS_KEY_PATH", "/no/key"),
        ("HTTP_PROXY", "socks5://me:secret@p"),
        ("MAX_CONCURRENT_TASKS", "0"),
        ("HEARTBEAT_INTERVAL", "soon"),
        ("WORKER_ENABLE_WEBSOCKETS", "maybe"),
        ("TASK_POLL_TIMEOUT", "0"),
        ("TASK_POLL_ERROR_DELAY", "NaN"),
        ("RESULT_RETRY_INITIAL_DELAY", "-1"),
        ("WORKER_PORT", "65536"),
        ("LOG_LEVEL", "loud"),
    ];
    let names: Vec<_> = variables.iter().map(|(name, _)| *name).collect();
    assert_eq!(wrong(&variables), names);
    let text = config(&variables).check().expect_err("all are wrong").to_string();
    assert!(!text.contains("secret"), "{text}");
    assert!(
        text.contains("`HEARTBEAT_INTERVAL` is `soon`, expected a number of seconds, at least 0.05"),
        "{text}"
    );
}

#[test]
fn a_certificate_needs_its_key_and_a_key_its_certificate() {
    let identity = testkit::Tls::new().client("w");
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let (certificate, key) = (file("certificate", &identity.certificate_pem), file("key", &identity.key_pem));
    let damaged = file("damaged", "-----BEGIN PRIVATE KEY of-secret\n");
    let other = file("other", &testkit::Tls::new().client("w").key_pem);
    let pair = |certificate: &str, key: &str| {
        told(&config(&[("TLS_CERT_PATH", certificate), ("TLS_KEY_PATH", key)]))
    };
    assert_eq!(pair(&certificate, &key), [""; 0]);
    assert_eq!(
        pair(&certificate, ""),
        ["`TLS_KEY_PATH` is not set, expected the key of the certificate in `TLS_CERT_PATH`"]
    );
    assert_eq!(
        pair("", &key),
        ["`TLS_CERT_PATH` is not set, expected the certificate of the key in `TLS_KEY_PATH`"]
    );
    let swapped = pair(&key, &certificate);
    assert!(
        swapped.len() == 2 && swapped.iter().all(|told| told.contains("(the file contains none)")),
        "{swapped:?}"
    );
    let told = pair(&certificate, &other);
    assert!(
        told.len() == 1 && told[0].contains("`TLS_KEY_PATH`") && told[0].contains("is not the key of"),
        "{told:?}"
    );
    let told = pair(&certificate, &damaged).concat() + &pair(&damaged, "").concat();
    assert!(
        told.contains("damaged") && told.contains("`TLS_KEY_PATH` is not set") && !told.contains("secret"),
        "{told}"
    );
    let told = config(&[("TLS_CA_PATH", &key)]).check().expect_err("a key is no authority");
    assert_eq!(told.problems()[0].variable, "TLS_CA_PATH");
}

/// Each variable that may hold a secret, right, and so wrong that all is told that ever is.
const SECRETS: [(&str, &str, &str); 10] = [
    ("WORKER_TOKEN", "hidden", "hidden\n"),
    ("WORKER_INDIVIDUAL_TOKEN", "hidden", "hidden\u{7f}"),
    ("ORCHESTRATOR_SECRET_KEY", "hidden", "hidden"),
    ("S3_ACCESS_KEY", "hidden", "hidden"),
    ("S3_SECRET_KEY", "hidden", "hidden"),
    ("S3_ENDPOINT_URL", "http://me:hidden@s3", "s3://me:hidden@bucket"),
    ("ORCHESTRATOR_URL", "http://me:hidden@h/", "mock://me:hidden@h?token=hidden"),
    ("HTTP_PROXY", "http://me:hidden@p", "socks5://me:hidden@p"),
    ("HTTPS_PROXY", "me:hidden@p:1", "https://me:hidden@p"),
    (
        "ORCHESTRATORS_CONFIG",
        r#"[{"url":"http://me:hidden@a","token":"hidden","toke":"hidden"}]"#,
        r#"[{"url":"x://me:hidden@a","token":"hidden\n"},{"url":"http://u:hidden@a","weight":"hidden"},["hidden"]]"#,
    ),
];

#[test]
fn no_secret_is_ever_shown() {
    let right: Vec<_> = SECRETS.iter().map(|(name, right, _)| (*name, *right)).collect();
    let mut wrong: Vec<_> = SECRETS.iter().map(|(name, _, wrong)| (*name, *wrong)).collect();
    wrong.push(("WORKER_TOKNE", "hidden"));
    for variables in [right, wrong] {
        let config = config(&variables);
        let in_code = WorkerConfig { history: option::History::default(), ..config.clone() };
        for config in [config, in_code] {
            let error = config.check().err();
            let shown = format!("{config:#?} {error:?} {:?} {:?}", config.warnings(), config.effective());
            let shown = format!("{shown} {error:#?} {} {:?}", told(&config).join(" "), config.proxies());
            assert!(!shown.contains("hidden"), "{}", shown.split("hidden").next().unwrap_or_default());
        }
    }
    for (name, _, wrong) in SECRETS {
        if let Err(problem) = WorkerConfig::defaults().set(name, wrong) {
            assert!(!format!("{problem} {problem:?}").contains("hidden"), "{problem}");
        }
    }
}

#[test]
fn what_is_secret_in_a_configuration_is_known_right_or_wrong() {
    for (name, right, wrong) in SECRETS {
        for text in [right, wrong] {
            let secrets = config(&[(name, text)]).secrets();
            assert!(secrets.iter().any(|secret| secret.contains("hidden")), "{name}={text}: {secrets:?}");
        }
        // In code an unknown key is an error.
        let right = right.replace(r#","toke":"hidden""#, "");
        let in_code = WorkerConfig::defaults().option(name, &right).secrets();
        assert!(in_code.iter().any(|secret| secret == "hidden"), "{name}: {in_code:?}");
    }
    assert_eq!(config(&[("AWS_SESSION_TOKEN", "hidden"), ("AWS_REGION", "plain")]).secrets(), ["hidden"]);
    // The placeholder is in a warning.
    assert_eq!(config(&[("WORKER_TYPE", "hidden"), ("S3_REGION", "hidden")]).secrets(), [] as [&str; 0]);
}

#[test]
fn every_masked_option_is_among_the_secrets_that_are_tried() {
    let plain = OPTIONS.iter().filter(|option| option.visibility == secret::Visibility::Plain);
    assert_eq!(plain.count() + SECRETS.len(), OPTIONS.len());
}

#[test]
fn unknown_variables_of_ours_are_warned_about_and_others_are_not() {
    let config = config(&[("WORKER_PROT", "1"), ("WORKER_TOKEN", "t"), ("MAX_TASKS", "5"), ("PATH", "/bin")]);
    assert_eq!(config.warnings(), ["unknown variable `WORKER_PROT`; did you mean `WORKER_PORT`?"]);
    assert!(config.check().is_ok());
}

/// The names of the options that are wrong in a program with some of the features.
fn wrong_with(config: &WorkerConfig, features: &[&str]) -> Vec<String> {
    let error = config.check_with(|feature| features.contains(&feature)).err();
    error.iter().flat_map(ConfigError::problems).map(|problem| problem.variable.clone()).collect()
}

#[test]
fn an_option_whose_feature_is_off_is_an_error_that_names_the_feature() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path().to_str().expect("text");
    let all = ["durable", "event-schemas", "s3"];
    let mut tried = 0;
    for option in OPTIONS {
        let Some(feature) = option.feature else { continue };
        tried += 1;
        let variable = option.variable;
        let value = match variable {
            "S3_ENDPOINT_URL" => "http://me:hidden@h",
            "WORKER_BLOB_CACHE_SIZE" => "7",
            "STRICT_EVENT_VALIDATION" => "false",
            _ if variable.ends_with("_KEY") => "hidden",
            _ => dir.trim_start_matches('/'),
        };
        let others: Vec<_> = all.into_iter().filter(|other| *other != feature).collect();
        for config in [config(&[(variable, value)]), WorkerConfig::defaults().option(variable, value)] {
            assert_eq!(wrong_with(&config, &others), [variable], "{variable}");
            let error = config.check_with(|_| false).expect_err("no feature is on").to_string();
            let expected = format!("without the feature `{feature}` of avtomatika-worker");
            assert!(error.contains(&expected) && !error.contains("hidden"), "{error}");
        }
        let mut reset = config(&[(variable, value)]);
        reset.set(variable, "").expect("not set");
        assert_eq!(wrong_with(&reset, &others), [""; 0], "{variable}");
    }
    assert_eq!(tried, 9);
    assert_eq!(wrong_with(&WorkerConfig::defaults(), &[]), [""; 0]);
}

#[test]
fn options_whose_feature_is_off_are_reported_once_beside_all_other_problems() {
    let variables = [
        ("MAX_CONCURRENT_TASKS", "0"),
        ("WORKER_OUTBOX_DIR", "/results"),
        ("S3_ENDPOINT_URL", "ftp://h"),
        ("S3_ACCESS_KEY", "hidden"),
    ];
    let read = config(&variables);
    assert_eq!(wrong_with(&read, &[]), variables.map(|(name, _)| name));
    assert_eq!(
        wrong_with(&read, &["s3"]),
        ["MAX_CONCURRENT_TASKS", "WORKER_OUTBOX_DIR", "S3_ENDPOINT_URL", "S3_SECRET_KEY"]
    );
    let by_name = WorkerConfig::defaults().option("S3_REGION", "eu west");
    let error = by_name.check_with(|_| false).expect_err("the feature is off").to_string();
    assert_eq!(
        error,
        "the configuration is wrong: `S3_REGION` is `eu west`, expected no value: this program was built without the \
         feature `s3` of avtomatika-worker"
    );
}

#[test]
fn every_feature_in_the_table_is_one_of_the_crate() {
    let needed: std::collections::BTreeSet<_> = OPTIONS.iter().filter_map(|option| option.feature).collect();
    let known = check::FEATURES.map(|(name, is_built)| {
        assert!(is_built, "tests are built with every feature");
        name
    });
    assert!(needed.into_iter().eq(known));
}
