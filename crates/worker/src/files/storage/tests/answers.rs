//! What answers of the storage mean for a task.

use super::*;

fn refusal(code: &str) -> String {
    format!(
        "<Error><Code>{code}</Code><Message>the message</Message><Region>eu-west-1</Region>\
         <ServerTime>2026-01-01T01:00:00Z</ServerTime></Error>"
    )
}

/// The answer to HEAD has no body: a second request asks why.
#[tokio::test]
async fn a_refused_download_says_why() {
    for (status, code, kind, words) in [
        (400, "AuthorizationHeaderMalformed", FileErrorKind::Denied, "set `S3_REGION` to `eu-west-1`"),
        (301, "PermanentRedirect", FileErrorKind::Denied, "set `S3_REGION` to `eu-west-1`"),
        (403, "RequestTimeTooSkewed", FileErrorKind::Unavailable, "the storage's is 2026-01-01T01:00:00Z"),
        (403, "RequestTimeTooSkewed", FileErrorKind::Unavailable, "this machine's clock"),
        (403, "AccessDenied", FileErrorKind::Denied, "AccessDenied: the message"),
        (400, "InvalidRequest", FileErrorKind::Denied, "InvalidRequest: the message"),
        (400, "ExpiredToken", FileErrorKind::Unavailable, "ExpiredToken: the message"),
    ] {
        let storage = Scripted::start(move |_| (status, refusal(code)));
        let folder = tempfile::tempdir().expect("a folder");
        let fetched = storage.task(folder.path()).download_file("s3://in/k", "k").await;
        let error = fetched.expect_err("it is refused");
        let told = ErrorChain(&error).to_string();
        assert_eq!(error.kind(), kind, "{told}");
        assert!(told.contains(words) && told.contains(code), "{told}");
        assert_eq!(storage.take_heads().len(), 2, "{code}: HEAD and GET, and neither again");
    }
}

#[tokio::test]
async fn a_wrong_region_and_a_wrong_clock_are_found_in_the_answer_to_every_request() {
    for (status, code, kind) in [
        (400, "AuthorizationHeaderMalformed", FileErrorKind::Denied),
        (301, "PermanentRedirect", FileErrorKind::Denied),
        (403, "RequestTimeTooSkewed", FileErrorKind::Unavailable),
    ] {
        let storage = Scripted::start(move |_| (status, refusal(code)));
        for (name, error) in every_request(&storage.storage()).await {
            let error = error.expect("it is refused");
            let told = ErrorChain(&error).to_string();
            assert!(error.kind() == kind && told.contains(code), "{name}: {told}");
        }
    }
}

/// S3 answers 400 `RequestTimeout` when a body comes too slowly.
#[tokio::test]
async fn a_request_that_arrived_garbled_is_sent_again() {
    for code in ["RequestTimeout", "BadDigest"] {
        let count = Arc::new(AtomicUsize::new(0));
        let storage = Scripted::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
            0 => (400, refusal(code)),
            _ => (200, String::new()),
        });
        let folder = tempfile::tempdir().expect("a folder");
        let task = storage.task(folder.path());
        task.write("k", "content").await.expect("written");
        task.upload_file("k").await.expect("sent");
        assert_eq!(storage.take_heads().len(), 2, "{code}");
    }
}

#[tokio::test]
async fn a_storage_that_ignores_ranges_is_read_whole_and_once() {
    const SIZE: usize = 20 << 20;
    let storage = Scripted::start(|_| (200, "x".repeat(SIZE)));
    let folder = tempfile::tempdir().expect("a folder");
    let task = storage.task(folder.path());
    let path = task.download_file("s3://in/k", "k").await.expect("fetched");
    assert_eq!(std::fs::metadata(path).expect("there").len(), SIZE as u64);
    let heads = storage.take_heads();
    let whole = heads.iter().filter(|head| head.starts_with("GET") && !head.contains("\r\nrange:"));
    assert_eq!(whole.count(), 1, "{heads:?}");
}

#[tokio::test]
async fn a_marker_with_content_becomes_a_directory_as_one_without() {
    let contents = |key: &str, size: usize| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00Z</LastModified>\
             <ETag>\"e\"</ETag><Size>{size}</Size></Contents>"
        )
    };
    let list = |contents: String| {
        (200, format!("<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"))
    };
    let storage = Scripted::start(move |head: &str| {
        let marked = contents("p/sub/", 3);
        match head {
            head if head.contains("prefix=p%2Fsub%2F") => list(marked),
            head if head.contains("list-type=2") => {
                list(format!("{}{marked}{}", contents("p/", 4), contents("p/a", 2)))
            }
            head if head.contains("/in/p/a ") => (200, "ok".to_owned()),
            _ => (404, error_body("NoSuchKey")),
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let task = storage.task(folder.path());
    let path = task.download_file("s3://in/p/", "d").await.expect("fetched");
    assert_eq!(std::fs::read(path.join("a")).expect("there"), b"ok");
    assert!(path.join("sub").is_dir());

    let gone = Scripted::start(move |head: &str| match head {
        head if head.contains("list-type=2") && !head.contains("prefix=p%2Fa%2F") => list(contents("p/a", 2)),
        head if head.contains("list-type=2") => list(String::new()),
        _ => (404, error_body("NoSuchKey")),
    });
    let error = gone.fetch_prefix().await.expect_err("it was removed meanwhile");
    assert_eq!(error.kind(), FileErrorKind::NoObject);
}

/// The storage may have begun or ended the upload, and would do it again.
#[tokio::test]
async fn the_beginning_and_the_end_of_an_upload_are_not_repeated_after_a_closed_connection() {
    let storage = Scripted::start(|_| (CLOSE, String::new()));
    for (name, error) in every_request(&storage.storage()).await {
        assert_eq!(error.expect(name).kind(), FileErrorKind::Unavailable, "{name}");
    }
    let heads = storage.take_heads();
    let of = |method: &str| heads.iter().filter(|head| head.starts_with(method)).count();
    assert_eq!(of("POST"), 2, "{heads:?}");
    assert!(of("PUT") > 2 && of("GET") > 2, "{heads:?}");
}
