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
    ("WORKER_TOKEN", "hidden", "hidden\n2"),
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

#[test]
fn a_misspelt_variable_without_our_prefix_is_noticed() {
    for (misspelt, option) in [
        ("MAX_CONCURENT_TASKS", "MAX_CONCURRENT_TASKS"),
        ("TASK_POLL_TIMEOT", "TASK_POLL_TIMEOUT"),
        ("ORCHESTRATOR_ULR", "ORCHESTRATOR_URL"),
        ("ORCHESTATOR_URL", "ORCHESTRATOR_URL"),
        ("ORCHESTRATER_URL", "ORCHESTRATOR_URL"),
        ("TSK_POLL_TIMEOUT", "TASK_POLL_TIMEOUT"),
        ("HEARTBEET_INTERVAL", "HEARTBEAT_INTERVAL"),
        ("HEARTBEATINTERVAL", "HEARTBEAT_INTERVAL"),
        ("ORCHESTRATORS_CONFIGS", "ORCHESTRATORS_CONFIG"),
        ("HEARBEAT_INTERVAL", "HEARTBEAT_INTERVAL"),
        ("TASKS_FILE_DIR", "TASK_FILES_DIR"),
        ("S3_ENDPOINTURL", "S3_ENDPOINT_URL"),
        ("S3_REGON", "S3_REGION"),
        ("TLS_CA_PAHT", "TLS_CA_PATH"),
        ("LOG_LEVLE", "LOG_LEVEL"),
        ("REQUIRE_TASK_SIGNATUR", "REQUIRE_TASK_SIGNATURE"),
    ] {
        let found = config(&[(misspelt, "1"), ("WORKER_TOKEN", "t")]).warnings();
        assert_eq!(found, [format!("unknown variable `{misspelt}`; did you mean `{option}`?")]);
    }
}

/// Variables of an ordinary machine, of containers, clusters, shells, languages and the programs beside a worker.
const OF_OTHERS: &str = "
    PATH HOME USER LOGNAME SHELL TERM LANG LC_ALL TZ PWD OLDPWD SHLVL HOSTNAME HOST MAIL EDITOR PAGER DISPLAY TMPDIR TEMP
    XDG_RUNTIME_DIR XDG_DATA_DIRS XDG_CONFIG_HOME SSH_AUTH_SOCK SSH_AGENT_PID SSH_CONNECTION DBUS_SESSION_BUS_ADDRESS
    COLUMNS LINES COLORTERM NO_COLOR CLICOLOR LS_COLORS PS1 PPID UID CI DEBUG VERBOSE DEBIAN_FRONTEND INVOCATION_ID
    JOURNAL_STREAM NOTIFY_SOCKET WATCHDOG_USEC LISTEN_FDS CREDENTIALS_DIRECTORY
    HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY FTP_PROXY RSYNC_PROXY SOCKS_PROXY http_proxy https_proxy no_proxy ftp_proxy
    SSL_CERT_FILE SSL_CERT_DIR SSL_CERT_PATH SSL_KEY_PATH SSL_CA_PATH TLS_KEY_PASS TLS_CERT_FILE TLS_KEY_FILE TLS_CA_FILE
    REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS
    AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_REGION AWS_DEFAULT_REGION AWS_PROFILE AWS_ENDPOINT_URL
    AWS_ENDPOINT_URL_S3 S3_BUCKET S3_BUCKET_NAME S3_HOST S3_KEY S3_SECRET S3_URL S3_ENDPOINT S3_PREFIX MINIO_ROOT_USER
    R2_ACCESS_KEY R2_SECRET_KEY R2_ENDPOINT_URL SQS_ENDPOINT_URL SNS_ENDPOINT_URL DB_SECRET_KEY MY_SECRET_KEY GCS_REGION
    A_S3_REGION B2_ACCESS_KEY R2_DEFAULT_BUCKET PG_REGION SSH_KEY_PATH SQL_CERT_PATH TLS_CA_PASS GPU_VRAM_MB GPU_VRAM_MIB
    DATABASE_URL REDIS_URL REDIS_HOST REDIS_PORT POSTGRES_USER POSTGRES_PASSWORD PGHOST PGPORT MYSQL_HOST CELERY_BROKER_URL
    SECRET_KEY API_KEY API_TOKEN ACCESS_TOKEN TOKEN AUTH_TOKEN CLIENT_SECRET JWT_SECRET
    LOGLEVEL LOGFORMAT LOG_FILE LOG_DIR LOG_PATH LOG_COLOR RUST_LOG RUST_BACKTRACE RUST_LOG_STYLE GUNICORN_CMD_ARGS
    PYTHONPATH PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE PYTHONHASHSEED VIRTUAL_ENV PIP_INDEX_URL UV_CACHE_DIR CONDA_PREFIX
    CARGO_HOME RUSTUP_HOME CARGO_TARGET_DIR CC CXX CFLAGS MAKEFLAGS NODE_ENV NPM_CONFIG_CACHE JAVA_HOME GOPATH GOPROXY
    CUDA_VISIBLE_DEVICES CUDA_HOME CUDA_VERSION LD_LIBRARY_PATH LD_PRELOAD NVIDIA_VISIBLE_DEVICES NVIDIA_DRIVER_CAPABILITIES
    GPU_CORES GPU_COUNT GPU_TYPE GPU_MEMORY CPU_MODEL CPU_COUNT CPU_LIMIT RAM_MB MEMORY_LIMIT OMP_NUM_THREADS MKL_NUM_THREADS
    HF_HOME HF_TOKEN TRANSFORMERS_CACHE TORCH_HOME MALLOC_ARENA_MAX TOKENIZERS_PARALLELISM
    KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT KUBERNETES_PORT KUBERNETES_PORT_443_TCP POD_NAME POD_NAMESPACE POD_IP
    NODE_NAME ORCHESTRATOR_SERVICE_HOST ORCHESTRATOR_SERVICE_PORT ORCHESTRATOR_PORT ORCHESTRATOR_HOST ORCHESTRATOR_TOKEN
    PORT BIND SERVER_PORT WEB_CONCURRENCY MAX_WORKERS MAX_TASKS MAX_THREADS CONCURRENCY TIMEOUT TASK_TIMEOUT POLL_INTERVAL
    OTEL_EXPORTER_OTLP_ENDPOINT OTEL_SERVICE_NAME SENTRY_DSN PROMETHEUS_MULTIPROC_DIR GITHUB_TOKEN GITHUB_ACTIONS
    APP_ENV ENVIRONMENT STAGE VERSION GIT_COMMIT BUILD_ID SOURCE_DATE_EPOCH DOCKER_HOST COMPOSE_PROJECT_NAME";

#[test]
fn variables_of_others_are_not_warned_about() {
    let others: Vec<_> = OF_OTHERS.split_whitespace().filter(|name| !name.ends_with("_PROXY")).collect();
    assert!(others.len() > 100, "{}", others.len());
    let config = config(&others.iter().map(|name| (*name, "1")).collect::<Vec<_>>());
    let warned: Vec<_> =
        config.warnings().into_iter().filter(|warning| warning.starts_with("unknown")).collect();
    assert_eq!(warned, [""; 0]);
    let proxies = OF_OTHERS.split_whitespace().filter(|name| name.to_uppercase().ends_with("_PROXY"));
    assert!(proxies.map(unknown::warning).all(|warning| warning.is_none()));
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
    let all = ["durable", "s3"];
    let mut tried = 0;
    for option in OPTIONS {
        let Some(feature) = option.feature else { continue };
        tried += 1;
        let variable = option.variable;
        let value = match variable {
            "S3_ENDPOINT_URL" => "http://me:hidden@h",
            "WORKER_BLOB_CACHE_SIZE" => "7",
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
    assert_eq!(tried, 8);
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
