//! The page.

use avtomatika_dev::{DevOrchestrator, Settings};
use hyper::Method;

use crate::client::{get, post, request, send};

#[tokio::test]
async fn every_address_of_the_page_is_the_page() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let mut tags = Vec::new();
    for path in [
        "/",
        "/tasks",
        "/tasks?status=running",
        "/tasks/job-x",
        "/new",
        "/workers",
        "/workers/w",
        "/wire",
        "/faults",
    ] {
        let answer = get(&orchestrator, path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.starts_with(b"<!doctype html>"), "{path}");
        let header = |name: &str| answer.headers[name].to_str().expect("a text");
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "style-src 'self'",
            "img-src 'self' blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.split("; ").any(|own| own == part), "{part}: {policy}");
        }
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!((header("x-content-type-options"), header("referrer-policy")), ("nosniff", "no-referrer"));
        assert_eq!(header("cache-control"), "no-cache");
        tags.push(header("etag").to_owned());
    }
    let address = orchestrator.address();
    let known = [("if-none-match", tags[0].as_str())];
    let again = send(address, request(address, Method::GET, "/tasks", &known, "")).await;
    assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    let file = get(&orchestrator, "/assets/index.html").await;
    assert_eq!(file.headers["etag"], tags[0]);
    let head = send(address, request(address, Method::HEAD, "/", &[], "")).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn any_other_path_is_unknown() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    for path in [
        "/api",
        "/api/",
        "/api/nothing",
        "/api/tasks/a/b",
        "/tasks/a/b",
        "/assets/",
        "/assets/none.js",
        "/assets/../Cargo.toml",
        "/assets/%2e%2e/mod.rs",
        "/index.html",
        "/v1/metrics",
    ] {
        get(&orchestrator, path).await.error(404);
    }
    post(&orchestrator, "/", "{}").await.error(405);
    orchestrator.shutdown().await;
}
