//! Protection against web pages of other sites.

use avtomatika_dev::{DevOrchestrator, Settings};
use hyper::Method;

use crate::browser::Browser;
use crate::client::{Answer, request, send};

const JSON: (&str, &str) = ("content-type", "application/json");

async fn call(
    orchestrator: &DevOrchestrator,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    send(orchestrator.address(), request(orchestrator.address(), method, path, headers, "{}")).await
}

#[tokio::test]
async fn a_foreign_name_is_refused_everywhere() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let foreign = [("host", "evil.example"), JSON];
    for path in [
        "/",
        "/tasks",
        "/assets/index.html",
        "/api/events",
        "/api/tasks",
        "/api/openapi.json",
        "/api/files/avtomatika-payloads",
        "/nothing",
    ] {
        let text = call(&orchestrator, Method::GET, path, &foreign).await.error(403);
        assert!(text.contains("`evil.example`"), "{text}");
    }
    for path in ["/api/tasks", "/v1/logs", "/v1/traces"] {
        call(&orchestrator, Method::POST, path, &foreign).await.error(403);
    }
    call(&orchestrator, Method::PUT, "/api/files/avtomatika-payloads/x", &foreign).await.error(403);

    let storage = orchestrator.storage().expect("a storage").address();
    for method in [Method::GET, Method::PUT, Method::OPTIONS] {
        let answer = send(storage, request(storage, method, "/avtomatika-payloads/x", &foreign, "")).await;
        assert_eq!(answer.status, 403);
        let text = String::from_utf8_lossy(&answer.body);
        assert!(text.contains("<Code>AccessDenied</Code>") && text.contains("`evil.example`"), "{text}");
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_name_allowed_for_the_orchestrator_is_allowed_for_its_storage() {
    let settings = Settings::new().with_allowed_host("orchestrator");
    let orchestrator = DevOrchestrator::start(settings).await.expect("a free port");
    let storage = orchestrator.storage().expect("a storage").address();
    let answer =
        send(storage, request(storage, Method::GET, "/", &[("host", "orchestrator:9000")], "")).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(!text.contains("`Host`"), "only the signature is missing: {text}");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_page_of_another_site_may_change_nothing() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let own = format!("http://{}", orchestrator.address());
    let file = "/api/files/avtomatika-payloads/x";
    for origin in ["http://evil.example", "http://localhost:1", "null", "https://evil.example:8080"] {
        let foreign = [("origin", origin), JSON];
        for (method, path) in [
            (Method::POST, "/api/tasks"),
            (Method::PUT, file),
            (Method::POST, "/v1/logs"),
            (Method::POST, "/api/nothing"),
        ] {
            let text = call(&orchestrator, method, path, &foreign).await.error(403);
            assert!(text.contains("`Origin`"), "{text}");
        }
        assert_eq!(
            call(&orchestrator, Method::GET, "/api/tasks", &foreign).await.status,
            200,
            "it cannot read it"
        );
    }
    assert_eq!(call(&orchestrator, Method::PUT, file, &[("origin", &own)]).await.status, 200);
    call(&orchestrator, Method::POST, "/api/tasks", &[("origin", &own), JSON]).await.error(400);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_page_of_another_site_cannot_use_up_the_readers_of_events() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let own = format!("http://{}", orchestrator.address());
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "http://localhost:1"),
        // A picture has no `Origin`.
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        for _ in 0..2 {
            let text = call(&orchestrator, Method::GET, "/api/events", &[(name, value)]).await.error(403);
            assert!(text.to_ascii_lowercase().contains(&format!("`{name}` is `{value}`")), "{text}");
        }
    }
    for headers in [
        &[][..],
        &[("origin", own.as_str()), ("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
    ] {
        let mut browser = Browser::open_with(&orchestrator, headers).await.expect("there is room");
        assert_eq!(browser.next().await.expect("an event").name, "snapshot");
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn changes_are_json_and_files_are_anything() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    for path in ["/api/tasks", "/api/tasks/job-x/cancel"] {
        for headers in
            [&[][..], &[("content-type", "text/plain")], &[("content-type", "multipart/form-data")]]
        {
            let address = orchestrator.address();
            // An empty body is no exception.
            send(address, request(address, Method::POST, path, headers, "")).await.error(415);
        }
    }
    let picture = [("content-type", "image/png")];
    let file = "/api/files/avtomatika-payloads/x";
    assert_eq!(call(&orchestrator, Method::PUT, file, &picture).await.status, 200);
    assert_eq!(call(&orchestrator, Method::PUT, file, &[]).await.status, 200);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn no_other_site_is_given_permission() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let storage = orchestrator.storage().expect("a storage").address();
    let asks = [("origin", "http://evil.example"), ("access-control-request-method", "PUT")];
    let mut answers = Vec::new();
    for path in [
        "/",
        "/api/tasks",
        "/api/files/avtomatika-payloads/x",
        "/api/nothing",
        "/v1/logs",
        "/_worker/events",
        "/nothing",
    ] {
        let answer = call(&orchestrator, Method::OPTIONS, path, &asks).await;
        assert_eq!(answer.status, 405, "{path}");
        answers.push(answer);
        answers.push(call(&orchestrator, Method::GET, path, &asks).await);
    }
    let answer = send(storage, request(storage, Method::OPTIONS, "/avtomatika-payloads/x", &asks, "")).await;
    assert_eq!(answer.status, 405);
    answers.push(answer);
    answers.push(send(storage, request(storage, Method::GET, "/avtomatika-payloads/x", &asks, "")).await);
    for answer in answers {
        let named = answer.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
        assert_eq!(named, None);
    }
    orchestrator.shutdown().await;
}
