//! The local storage, for people.

use avtomatika_dev::{DevOrchestrator, Settings};
use bytes::Bytes;
use hyper::Method;
use serde_json::json;

use crate::client::{Answer, get, request, send};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n0123456789";

async fn start() -> DevOrchestrator {
    DevOrchestrator::start(Settings::new()).await.expect("a free port")
}

async fn call(
    orchestrator: &DevOrchestrator,
    method: Method,
    key: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let path = format!("/api/files/avtomatika-payloads/{key}");
    send(orchestrator.address(), request(orchestrator.address(), method, &path, headers, body)).await
}

async fn put(orchestrator: &DevOrchestrator, key: &str, body: impl Into<Bytes>) -> Answer {
    let answer = call(orchestrator, Method::PUT, key, &[("content-type", "image/png")], body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

#[tokio::test]
async fn a_file_is_stored_read_and_listed() {
    let orchestrator = start().await;
    let storage = orchestrator.storage().expect("a storage");
    let stored = put(&orchestrator, "a/%C3%BC%20b.png", PNG).await.json();
    assert_eq!((&stored["uri"], &stored["size"]), (&json!("s3://avtomatika-payloads/a/ü b.png"), &json!(18)));
    assert_eq!(storage.get(storage.bucket(), "a/ü b.png").await.expect("it is there"), PNG);

    let answer = call(&orchestrator, Method::GET, "a/%C3%BC%20b.png", &[], "").await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, PNG));
    let header = |name: &str| answer.headers[name].to_str().expect("a text");
    assert_eq!(header("content-type"), "image/png");
    assert_eq!(header("content-length"), "18");
    assert_eq!(header("etag").trim_matches('"'), stored["etag"].as_str().expect("a text"));
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("content-security-policy"), "sandbox; default-src 'none'");
    assert!(answer.headers.get("content-disposition").is_none());
    let known = [("if-none-match", header("etag"))];
    let again = call(&orchestrator, Method::GET, "a/%C3%BC%20b.png", &known, "").await;
    assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    let head = call(&orchestrator, Method::HEAD, "a/%C3%BC%20b.png", &[], "").await;
    assert_eq!((head.status.as_u16(), head.headers["content-length"].to_str().ok()), (200, Some("18")));

    for key in ["b/1", "b/2", "c"] {
        storage.put(storage.bucket(), key, "x").await.expect("written");
    }
    let list = get(&orchestrator, "/api/files/avtomatika-payloads?limit=2").await.json();
    assert_eq!((&list["files"][0]["key"], &list["files"][1]["key"]), (&json!("a/ü b.png"), &json!("b/1")));
    assert_eq!((&list["files"][0]["etag"], &list["files"][0]["uri"]), (&stored["etag"], &stored["uri"]));
    assert!(list["files"][0]["modified_at"].as_f64().expect("a number") > 1.7e9);
    let path = format!("/api/files/avtomatika-payloads?after={}", list["next"].as_str().expect("a text"));
    let rest = get(&orchestrator, &path).await.json();
    assert_eq!(
        (&rest["files"][0]["key"], &rest["files"][1]["key"], &rest["next"]),
        (&json!("b/2"), &json!("c"), &json!(null))
    );
    let some = get(&orchestrator, "/api/files/avtomatika-payloads?prefix=b/").await.json();
    assert_eq!(some["files"].as_array().expect("a list").len(), 2);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn parts_of_a_file_are_read() {
    let orchestrator = start().await;
    let etag = put(&orchestrator, "f", PNG).await.json()["etag"].as_str().expect("a text").to_owned();
    let (own, other) = (format!("\"{etag}\""), "\"other\"");
    let range = |text: &'static str| ("range", text);
    for (headers, status, body, content_range) in [
        (vec![range("bytes=8-11")], 206, &b"0123"[..], Some("bytes 8-11/18")),
        (vec![range("bytes=-2")], 206, b"89", Some("bytes 16-17/18")),
        (vec![range("bytes=16-999")], 206, b"89", Some("bytes 16-17/18")),
        (vec![range("bytes=16-"), ("if-range", own.as_str())], 206, b"89", Some("bytes 16-17/18")),
        (vec![range("bytes=16-"), ("if-range", other)], 200, PNG, None),
        (vec![range("bytes=0-1,4-5")], 200, PNG, None),
        (vec![range("lines=1-2")], 200, PNG, None),
    ] {
        let answer = call(&orchestrator, Method::GET, "f", &headers, "").await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (status, body), "{headers:?}");
        let shown = answer.headers.get("content-range").map(|value| value.to_str().expect("a text"));
        assert_eq!(
            (shown, &answer.headers["content-type"]),
            (content_range, &"image/png".parse().expect("a value"))
        );
    }
    let answer = call(&orchestrator, Method::GET, "f", &[range("bytes=18-")], "").await;
    assert_eq!(answer.headers["content-range"], "bytes */18");
    answer.error(416);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn nothing_that_was_uploaded_is_run_by_a_browser() {
    let orchestrator = start().await;
    for (body, content_type) in [
        ("<svg onload=\"alert(1)\"/>", "text/plain; charset=utf-8"),
        ("<html><script>alert(1)</script>", "text/plain; charset=utf-8"),
        ("plain", "text/plain; charset=utf-8"),
    ] {
        put(&orchestrator, "f.html", body).await;
        let answer = call(&orchestrator, Method::GET, "f.html", &[], "").await;
        assert_eq!(
            (&answer.headers["content-type"], &*answer.body),
            (&content_type.parse().expect("a value"), body.as_bytes())
        );
    }
    put(&orchestrator, "f", &b"\0\x01"[..]).await;
    let answer = call(&orchestrator, Method::GET, "f", &[], "").await;
    assert_eq!(answer.headers["content-type"], "application/octet-stream");
    assert_eq!(answer.headers["content-disposition"], "attachment");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_key_is_a_text_and_never_a_path() {
    let orchestrator = start().await;
    let storage = orchestrator.storage().expect("a storage");
    for (path, key) in [
        ("..", ".."),
        ("../../etc/passwd", "../../etc/passwd"),
        ("%2e%2e/x", "../x"),
        ("a//b", "a//b"),
        ("a/", "a/"),
        ("a%2Fb", "a/b"),
        ("a%252Fb", "a%2Fb"),
        ("a%00b", "a\0b"),
        ("%3Fq%23", "?q#"),
    ] {
        let stored = put(&orchestrator, path, path.to_owned()).await.json();
        assert_eq!(stored["uri"], format!("s3://avtomatika-payloads/{key}"));
        assert_eq!(storage.get(storage.bucket(), key).await.expect("it is there"), path);
        assert_eq!(call(&orchestrator, Method::GET, path, &[], "").await.body, path);
    }
    let long = "k".repeat(1025);
    let text = call(&orchestrator, Method::PUT, &long, &[], "").await.error(400);
    assert!(text.contains("1025"), "{text}");
    call(&orchestrator, Method::PUT, "%ff", &[], "").await.error(400);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_large_file_is_passed_on_in_pieces() {
    let orchestrator = start().await;
    let body: Bytes = (0..20_000_000_u32).map(|number| (number % 251) as u8).collect();
    let stored = put(&orchestrator, "large", body.clone()).await.json();
    assert_eq!(stored["size"], 20_000_000);
    let answer = call(&orchestrator, Method::GET, "large", &[], "").await;
    assert!(answer.body == body);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn what_is_unknown_is_said_so() {
    let orchestrator = start().await;
    let text = get(&orchestrator, "/api/files/avtomatika-payloads/none").await.error(404);
    assert!(text.contains("`none`"), "{text}");
    for path in ["/api/files/other", "/api/files/other/x"] {
        let text = get(&orchestrator, path).await.error(404);
        assert!(text.contains("`other`"), "{text}");
    }
    let put = request(orchestrator.address(), Method::PUT, "/api/files/other/x", &[], "x");
    send(orchestrator.address(), put).await.error(404);
    for query in ["limit=0", "limit=1001", "page=2"] {
        get(&orchestrator, &format!("/api/files/avtomatika-payloads?{query}")).await.error(400);
    }
    orchestrator.shutdown().await;

    let without = DevOrchestrator::start(Settings::new().without_storage()).await.expect("a free port");
    get(&without, "/api/files/avtomatika-payloads").await.error(404);
    without.shutdown().await;
}
