//! The example program and its environment: what is refused, what is warned about, what wins.

use serde_json::json;
use testkit::{Endpoint, PATIENCE, Process, ScriptedOrchestrator, Tls};

use crate::support::{TOKEN, each, program, started};

/// Runs the program to its end: its exit code and all that it said.
async fn ended(variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut process = program("http://127.0.0.1:1", variables).start();
    (process.wait(PATIENCE).await.code(), process.lines().join("\n"))
}

async fn interrupted(mut process: Process) -> String {
    process.signal("INT");
    assert_eq!(process.wait(PATIENCE).await.code(), Some(0), "{:?}", process.lines());
    process.lines().join("\n")
}

/// What a registration says.
async fn registered(variables: &[(&str, &str)]) -> (serde_json::Value, Option<String>) {
    let orchestrator = ScriptedOrchestrator::start().await;
    let process = started(&orchestrator, variables).await;
    let request = orchestrator.requests(Endpoint::Register).remove(0);
    interrupted(process).await;
    (request.json(), request.header("x-worker-token").map(str::to_owned))
}

#[tokio::test]
async fn a_wrong_configuration_ends_with_2_and_names_everything_at_once() {
    let variables = [
        ("MAX_CONCURRENT_TASKS", "0", "a whole number, 1 to 10000"),
        ("HEARTBEAT_INTERVAL", "soon", "a number of seconds, at least 0.05"),
        ("TASK_POLL_TIMEOUT", "0", "a number of seconds above 0"),
        ("IDLE_POLL_DELAY", "-1", "a number of seconds, at least 0"),
        ("WORKER_PORT", "65536", "a port, 0 to 65535"),
        ("WORKER_ID", "a b", "1 to 128 characters"),
        ("LOG_LEVEL", "loud", "`error`, `warn`"),
        ("MULTI_ORCHESTRATOR_MODE", "RANDOM", "`FAILOVER`, `ROUND_ROBIN` or `WATERFALL`"),
        ("TLS_CA_PATH", "/no/such/file", "a file of PEM certificates"),
        ("WORKER_TOKEN", "line\nbreak-secret", "a token without control characters"),
        ("ORCHESTRATOR_URL", "ftp://me:hidden-secret@host", "the scheme http, https, ws or wss"),
        (
            "ORCHESTRATORS_CONFIG",
            r#"[{"url":"http://u:secret@h","weight":0},{"token":"secret"}]"#,
            "entry 1: there is no `url`",
        ),
        ("HTTP_PROXY", "socks5://me:secret@p", "the address of an http proxy"),
        ("REQUIRE_TASK_SIGNATURE", "maybe", "`on` or `off`"),
        ("S3_ACCESS_KEY", "access-secret\n2", "without spaces or line ends around it"),
        ("S3_SECRET_KEY", "line\nbreak-secret", "a key of visible ASCII characters"),
        ("S3_REGION", "eu west", "the name of a region such as `us-east-1`"),
    ];
    let (code, text) = ended(&variables.map(|(name, value, _)| (name, value))).await;
    assert_eq!(code, Some(2), "{text}");
    for (name, value, expected) in variables {
        assert!(text.contains(&format!("`{name}` is `")) && text.contains(expected), "{name} in {text}");
        let told = text.contains(&format!("`{name}` is `{value}`"));
        assert!(told || value.contains("secret"), "{value} in {text}");
    }
    assert!(
        text.contains("`ORCHESTRATOR_URL` is `ftp://host`") && text.contains("entry 0: `weight` is `0`"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn keys_of_the_storage_that_cannot_be_used_are_named_before_any_task() {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(home.path().join(".aws")).expect("made");
    let file = "[default]\naws_access_key_id = AKI\u{e9}-hidden\naws_secret_access_key = file-hidden\n";
    std::fs::write(home.path().join(".aws/config"), file).expect("written");
    let home = home.path().to_str().expect("UTF-8");
    let storage = ("S3_ENDPOINT_URL", "http://127.0.0.1:9");
    for (variables, said) in [
        (&[("S3_ACCESS_KEY", "access-hidden")][..], "`S3_SECRET_KEY` is not set, expected the secret key of"),
        (&[("S3_SECRET_KEY", "s3-hidden")], "`S3_ACCESS_KEY` is not set, expected the access key of"),
        (&[storage, ("S3_ACCESS_KEY", "access-hidden")], "`S3_SECRET_KEY` is not set"),
        (
            &[storage, ("AWS_PROFILE", "nope"), ("HOME", home)],
            "`AWS_PROFILE` is `nope`, expected the name of a profile",
        ),
        (&[storage, ("HOME", home)], "`aws_access_key_id` in `"),
        (
            &[storage, ("AWS_ACCESS_KEY_ID", "a-hidden\n"), ("AWS_SECRET_ACCESS_KEY", "b-hidden")],
            "`AWS_ACCESS_KEY_ID` is `***`",
        ),
    ] {
        let (code, text) = ended(variables).await;
        assert_eq!(code, Some(2), "{variables:?}: {text}");
        assert!(text.contains(said) && !text.contains("hidden"), "{variables:?}: {text}");
    }
}

#[tokio::test]
async fn each_file_of_tls_has_to_be_what_it_should_be() {
    let identity = Tls::new().client("w-1");
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let certificate = file("certificate", &identity.certificate_pem);
    let key = file("key", &identity.key_pem);
    let other = file("other", &Tls::new().client("w-1").key_pem);
    let cases = [
        (vec![("TLS_CERT_PATH", &certificate)], "`TLS_KEY_PATH` is not set"),
        (vec![("TLS_KEY_PATH", &key)], "`TLS_CERT_PATH` is not set"),
        (vec![("TLS_CERT_PATH", &key), ("TLS_KEY_PATH", &key)], "`TLS_CERT_PATH` is `"),
        (vec![("TLS_CERT_PATH", &certificate), ("TLS_KEY_PATH", &certificate)], "`TLS_KEY_PATH` is `"),
        (
            vec![("TLS_CERT_PATH", &certificate), ("TLS_KEY_PATH", &other)],
            "is not the key of the certificate",
        ),
        (vec![("TLS_CA_PATH", &key)], "`TLS_CA_PATH` is `"),
    ];
    each(cases, async |(variables, expected)| {
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (code, text) = ended(&variables).await;
        assert!(code == Some(2) && text.contains(expected), "{variables:?}: {code:?} {text}");
    })
    .await;
    let orchestrator = ScriptedOrchestrator::start().await;
    let process = started(&orchestrator, &[("TLS_CERT_PATH", &certificate), ("TLS_KEY_PATH", &key)]).await;
    interrupted(process).await;
}

#[tokio::test]
async fn what_the_reference_lets_pass_is_warned_about_and_the_worker_runs() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let variables = [
        ("ORCHESTRATORS_CONFIG", "no json, x-secret-x"),
        ("COST_PER_SKILL", "{"),
        ("INSTALLED_SOFTWARE", "[]"),
        ("INSTALLED_MODELS", "5"),
        ("WORKER_TOKNE", "x-secret-x"),
        ("HEARTBEAT_INTERVAL", ""),
    ];
    let process = started(&orchestrator, &variables).await;
    let body = orchestrator.requests(Endpoint::Register).remove(0).json();
    let text = interrupted(process).await;
    assert!(body.to_string().contains(r#"{"python":"3.9"}"#), "{body}");
    for words in [
        "`ORCHESTRATORS_CONFIG` is ignored",
        "`COST_PER_SKILL` is ignored",
        "`INSTALLED_SOFTWARE` is ignored",
        "`INSTALLED_MODELS` is ignored",
        "unknown variable `WORKER_TOKNE`; did you mean `WORKER_TOKEN`?",
    ] {
        let line =
            text.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{words} in {text}"));
        assert!(line.contains("WARN"), "{line}");
    }
    assert!(!text.contains("x-secret-x") && !text.contains("placeholder"), "{text}");
}

#[tokio::test]
async fn starting_with_the_placeholder_token_is_warned_about() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let process = started(&orchestrator, &[("WORKER_TOKEN", "")]).await;
    let text = interrupted(process).await;
    assert!(text.lines().any(|line| line.contains("WARN") && line.contains("placeholder")), "{text}");
    let request = orchestrator.requests(Endpoint::Register).remove(0);
    assert_eq!(request.header("x-worker-token"), Some("your-secret-worker-token"));
}

#[tokio::test]
async fn the_nearest_token_counts() {
    let (_, common) = registered(&[]).await;
    let (_, individual) = registered(&[("WORKER_INDIVIDUAL_TOKEN", "individual")]).await;
    assert_eq!((common.as_deref(), individual.as_deref()), (Some(TOKEN), Some("individual")));
    let orchestrator = ScriptedOrchestrator::start().await;
    let entries = json!([{"url": orchestrator.url(), "token": "own"}]).to_string();
    let variables = [
        ("ORCHESTRATORS_CONFIG", entries.as_str()),
        ("ORCHESTRATOR_URL", "http://127.0.0.1:1"),
        ("WORKER_INDIVIDUAL_TOKEN", "individual"),
    ];
    let process = started(&orchestrator, &variables).await;
    interrupted(process).await;
    let request = orchestrator.requests(Endpoint::Register).remove(0);
    assert_eq!(request.header("x-worker-token"), Some("own"));
}

#[tokio::test]
async fn code_wins_over_the_environment_and_clears_what_is_wrong_there() {
    let set = r#"{"MAX_CONCURRENT_TASKS": 3, "WORKER_ID": "in-code", "WORKER_TYPE": "code"}"#;
    let variables = [
        ("MAX_CONCURRENT_TASKS", "many"),
        ("WORKER_ID", "a b"),
        ("WORKER_TYPE", "env"),
        ("CONFORMANCE_CONFIG", set),
    ];
    let (body, _) = registered(&variables).await;
    assert_eq!((&body["worker_id"], &body["worker_type"]), (&json!("in-code"), &json!("code")));
    let (body, _) = registered(&[("WORKER_TYPE", "env"), ("CONFORMANCE_WORKER_TYPE", "constructor")]).await;
    assert_eq!(body["worker_type"], "constructor");
    let (body, _) = registered(&[("WORKER_TYPE", "env")]).await;
    assert_eq!(body["worker_type"], "env");
}

#[tokio::test]
async fn what_is_wrong_in_code_is_told_as_what_is_wrong_in_the_environment() {
    let told = async |variables: &[(&str, &str)]| {
        let mut process = program("http://127.0.0.1:1", variables).start();
        let code = process.wait(PATIENCE).await.code();
        // The warnings before the error have the time.
        let lines = process.lines().into_iter().filter(|line| line.starts_with("error: "));
        (code, lines.collect::<Vec<_>>())
    };
    let (code, lines) = told(&[("MAX_CONCURRENT_TASKS", "0"), ("HEARTBEAT_INTERVAL", "soon")]).await;
    assert_eq!(code, Some(2), "{lines:?}");
    let text = lines.concat();
    assert!(
        text.contains("`MAX_CONCURRENT_TASKS` is `0`") && text.contains("`HEARTBEAT_INTERVAL`"),
        "{text}"
    );
    let set = r#"{"MAX_CONCURRENT_TASKS": 0}"#;
    let in_code = told(&[("CONFORMANCE_CONFIG", set), ("HEARTBEAT_INTERVAL", "soon")]).await;
    assert_eq!(in_code, (code, lines));
}

#[tokio::test]
async fn an_address_set_in_code_counts_like_the_variable() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let set = json!({"ORCHESTRATOR_URL": orchestrator.url().replace("http://", "ws://")}).to_string();
    let variables = [("CONFORMANCE_CONFIG", set.as_str()), ("ORCHESTRATOR_URL", "http://127.0.0.1:1")];
    let process = program("http://127.0.0.1:1", &variables).start();
    orchestrator.wait_for_requests(Endpoint::Register, 1).await;
    interrupted(process).await;
}

#[tokio::test]
async fn a_proxy_is_used_unless_the_orchestrator_is_excepted() {
    each(["HTTP_PROXY", "http_proxy"], async |name| {
        // A proxy is asked for the whole address, and the scripted orchestrator answers whatever it is asked for.
        let proxy = ScriptedOrchestrator::start().await;
        let address = proxy.url();
        let elsewhere = [(name, address.as_str()), ("ORCHESTRATOR_URL", "http://orchestrator.invalid:1")];
        let process = started(&proxy, &elsewhere).await;
        let request = proxy.requests(Endpoint::Register).remove(0);
        assert_eq!(request.header("host"), Some("orchestrator.invalid:1"));
        interrupted(process).await;
    })
    .await;
    each(["NO_PROXY", "no_proxy"], async |name| {
        let orchestrator = ScriptedOrchestrator::start().await;
        let variables = [("HTTP_PROXY", "http://127.0.0.1:1"), (name, "127.0.0.1")];
        let process = started(&orchestrator, &variables).await;
        interrupted(process).await;
    })
    .await;
}
