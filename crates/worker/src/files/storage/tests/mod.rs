mod answers;
mod lines;

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::TryStreamExt;
use object_store::aws::AmazonS3ConfigKey;
use prometheus_client::registry::Registry;
use rxon::ErrorChain;
use rxon::transport::http::Proxies;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::*;
use crate::config::{Address, Secret};
use crate::files::storage::failure::storage_error;
use crate::files::{Files, TaskFiles};

fn kind(uri: &str) -> Result<(String, bool), FileErrorKind> {
    let located = ObjectUri::of_user(uri).and_then(|uri| Storage::in_memory("b").locate(&uri));
    located.map(|found| (found.path.to_string(), found.is_prefix)).map_err(|error| error.kind())
}

#[test]
fn keys_are_used_unchanged_or_refused() {
    for (uri, path, is_prefix) in [
        ("s3://b/a%20b/c", "a%20b/c", false),
        ("s3://b/é ?#&+", "é ?#&+", false),
        ("s3://b/dir/", "dir", true),
        ("s3://b/", "", true),
    ] {
        assert_eq!(kind(uri), Ok((path.to_owned(), is_prefix)), "{uri}");
    }
    for (uri, expected) in [
        ("s3://b//a", FileErrorKind::Unusable),
        ("s3://b/a//b", FileErrorKind::Unusable),
        ("s3://b/a//", FileErrorKind::Unusable),
        ("s3://b/./a", FileErrorKind::Unusable),
        ("s3://b/a\u{7}", FileErrorKind::Unusable),
        ("s3://b/../a", FileErrorKind::Forbidden),
        ("s3://b/a/..", FileErrorKind::Forbidden),
        ("s3://b/a\0", FileErrorKind::Forbidden),
        ("s3://../a", FileErrorKind::Unusable),
        ("s3://a?b/c", FileErrorKind::Unusable),
        ("s3://b", FileErrorKind::Unusable),
        ("https://b/a", FileErrorKind::Unusable),
    ] {
        assert_eq!(kind(uri), Err(expected), "{uri}");
    }
}

#[test]
fn the_number_of_stores_is_limited() {
    let storage = Storage::in_memory("b");
    for number in 0..1000 {
        storage.store(&format!("b{number}")).expect("a store");
    }
    assert!(lock(&storage.stores).len() <= MAX_STORES);
}

#[test]
fn credentials_in_the_address_are_removed() {
    assert_eq!(
        without_credentials("http://user:pass@host:9000/base/").as_deref(),
        Some("http://host:9000/base")
    );
    assert_eq!(without_credentials(" https://s3.example.com ").as_deref(), Some("https://s3.example.com"));
}

/// The settings of a storage without keys.
fn settings(address: &str) -> StorageSettings {
    StorageSettings {
        endpoint: Address::new(address),
        keys: None,
        bucket: "avtomatika-payloads".to_owned(),
        region: "us-east-1".to_owned(),
        tls_ca_path: None,
        proxies: Proxies::default(),
    }
}

const ID: &str = "AKIAHIDDENACCESSKEY77";
const SECRET: &str = "hidden/Secret+Key/DoNotLeak";

/// The body of AWS's answer to a request with wrong keys.
fn error_body(code: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>the message, of {ID}</Message>\
         <AWSAccessKeyId>{ID}</AWSAccessKeyId><StringToSign>to-be-signed {SECRET}</StringToSign></Error>"
    )
}

/// A storage whose answers are a function of the request's head, and the heads of its requests.
struct Scripted {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
    _server: JoinSet<()>,
}

/// The status of an answer that is none: the connection is closed.
const CLOSE: u16 = 0;

/// Answers one request. The head of the answer to HEAD tells the length of the body, which is not sent.
async fn serve(
    stream: TcpStream,
    line: Option<Arc<Line>>,
    seen: &Mutex<Vec<String>>,
    answer: impl Fn(&str) -> (u16, String),
) {
    let mut stream = BufStream::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while stream.read_line(&mut head).await.is_ok_and(|read| read > 2) {}
    for line in head.lines() {
        if let Some(number) = line.to_lowercase().strip_prefix("content-length: ") {
            length = number.parse().expect("a length");
        }
    }
    let mut piece = vec![0; 16 << 10];
    while length > 0 {
        let wanted = length.min(piece.len());
        let Ok(read @ 1..) = stream.read(&mut piece[..wanted]).await else { return };
        length -= read;
        if let Some(line) = &line {
            line.carry(read).await;
        }
    }
    let (status, body) = answer(&head);
    if status == CLOSE {
        return lock(seen).push(head);
    }
    let is_head = head.starts_with("HEAD");
    lock(seen).push(head);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} x\r\netag: \"e\"\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    let body = if is_head { "" } else { &body };
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    let _ = stream.flush().await;
}

/// A line whose requests share a speed.
struct Line {
    bytes_per_second: f64,
    /// When the bytes taken so far have arrived.
    free: Mutex<tokio::time::Instant>,
}

impl Line {
    async fn carry(&self, bytes: usize) {
        let arrived = {
            let mut free = lock(&self.free);
            let time = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
            *free = (*free).max(tokio::time::Instant::now()) + time;
            *free
        };
        tokio::time::sleep_until(arrived).await;
    }
}

impl Scripted {
    fn start(answer: impl Fn(&str) -> (u16, String) + Clone + Send + Sync + 'static) -> Self {
        Self::behind(None, answer)
    }

    /// Reads the bodies of requests over a line, if there is one.
    fn behind(
        line: Option<Arc<Line>>,
        answer: impl Fn(&str) -> (u16, String) + Clone + Send + Sync + 'static,
    ) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        if line.is_some() {
            // What the system takes in advance is not on the line.
            socket.set_recv_buffer_size(64 << 10).expect("a small buffer");
        }
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let listener = socket.listen(64).expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let seen = heads.clone();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, seen, line) = (answer.clone(), seen.clone(), line.clone());
                connections.spawn(async move { serve(stream, line, &seen, answer).await });
            }
        });
        Self { address, heads, _server: server }
    }

    fn settings(&self) -> StorageSettings {
        StorageSettings { keys: Some((Secret::new(ID), Secret::new(SECRET))), ..settings(&self.address) }
    }

    fn storage(&self) -> Storage {
        Storage::new(self.settings()).expect("a storage")
    }

    /// The files of a task in a folder.
    fn task(&self, folder: &std::path::Path) -> TaskFiles {
        task_in(folder, self.storage())
    }

    /// Fetches a prefix into the directory of a task.
    async fn fetch_prefix(&self) -> Result<(), FileError> {
        let folder = tempfile::tempdir().expect("a folder");
        self.task(folder.path()).download_file("s3://in/p/", "d").await.map(|_| ())
    }

    /// Returns the heads of the requests so far, and forgets them.
    fn take_heads(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.heads))
    }
}

/// An entry of `NO_PROXY` with a port counts for the storage as it does for orchestrators.
#[tokio::test]
async fn the_storage_is_reached_through_the_proxy_unless_its_address_is_an_exception() {
    let server = Scripted::start(|_| (404, error_body("NoSuchKey")));
    let port = server.address.rsplit_once(':').expect("a port").1;
    let through = Scripted::start(|_| (404, error_body("NoSuchKey")));
    for (exceptions, is_direct) in [
        ("127.0.0.1".to_owned(), true),
        (format!("127.0.0.1:{port}"), true),
        ("127.0.0.1:1, .0.0.1".to_owned(), false),
    ] {
        let proxies = Proxies::read(|name| match name {
            "HTTP_PROXY" => Some(through.address.clone()),
            "NO_PROXY" => Some(exceptions.clone()),
            _ => None,
        });
        let settings = StorageSettings { proxies: proxies.expect("proxies"), ..server.settings() };
        let storage = Storage::new(settings).expect("a storage");
        let uri = ObjectUri::of_user("s3://in/k").expect("an address");
        let at = storage.locate(&uri).expect("a location");
        at.store.get_opts(&at.path, object_store::GetOptions::default()).await.expect_err("there is none");
        let heads = |seen: &Scripted| seen.take_heads().len();
        assert_eq!(
            (heads(&server), heads(&through)),
            if is_direct { (1, 0) } else { (0, 1) },
            "{exceptions}"
        );
    }
}

fn task_in(folder: &std::path::Path, storage: Storage) -> TaskFiles {
    let files = Files::new(folder, None, None, Some(storage), &mut Registry::default());
    files.of_task(&rxon::TaskId::received("t-1").expect("an id"))
}

/// Sends every kind of request to the storage, and returns the errors.
async fn every_request(storage: &Storage) -> Vec<(&'static str, Option<FileError>)> {
    let uri = "s3://in/k";
    let at = storage.locate(&ObjectUri::of_user(uri).expect("an address")).expect("a location");
    let (store, path) = (&at.store, &at.path);
    let parts = || vec![object_store::multipart::PartId { content_id: "e".to_owned() }];
    let id = "u".to_owned();
    let put = object_store::PutOptions::default();
    let (get, list, put, create, part, complete) = tokio::join!(
        store.get_opts(path, object_store::GetOptions::default()),
        async { store.list_all(Some(path)).try_collect::<Vec<_>>().await },
        store.put_opts(path, "content".into(), put),
        store.create_multipart(path),
        store.put_part(path, &id, 0, "content".into()),
        store.complete_multipart(path, &id, parts()),
    );
    vec![
        ("get", get.err()),
        ("list", list.err()),
        ("put", put.err()),
        ("create", create.err()),
        ("part", part.err()),
        ("complete", complete.err()),
    ]
    .into_iter()
    .map(|(name, error)| (name, error.map(|error| storage_error(uri, &error))))
    .collect()
}

#[track_caller]
fn assert_harmless(text: &str) {
    for part in [ID, SECRET, "AWSAccessKeyId", "StringToSign", "to-be-signed", "hidden%2FSecret"] {
        assert!(!text.contains(part), "`{part}` in {text}");
    }
}

#[tokio::test]
async fn errors_of_the_storage_show_code_and_message_but_no_key() {
    let cases = [
        (400, "AuthorizationHeaderMalformed"),
        (403, "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch"),
        (404, "NoSuchBucket"),
        (409, "Conflict"),
        (500, "InternalError"),
        (501, "NotImplemented"),
    ];
    let check = |(status, code): (u16, &'static str)| async move {
        let storage = Scripted::start(move |_| (status, error_body(code)));
        for (name, error) in every_request(&storage.storage()).await {
            let error = error.unwrap_or_else(|| panic!("{name}: {status} is an error"));
            let told = ErrorChain(&error).to_string();
            assert_harmless(&format!("{told} {error} {error:?}"));
            let expected = format!("{code}: the message, of ***");
            assert!(status == 404 || told.contains(&expected), "{name} {status}: {told}");
        }
    };
    futures_util::future::join_all(cases.map(check)).await;
}

#[tokio::test]
async fn an_error_in_an_answer_with_status_200_is_an_error() {
    for code in ["AccessDenied", "InternalError"] {
        let storage = Scripted::start(move |_| (200, error_body(code)));
        for (name, error) in every_request(&storage.storage()).await {
            if !["list", "create", "complete"].contains(&name) {
                continue;
            }
            let error = error.unwrap_or_else(|| panic!("{name}: it is an error"));
            let told = ErrorChain(&error).to_string();
            assert_harmless(&format!("{told} {error:?}"));
            assert!(told.contains(&format!("{code}: the message, of ***")), "{name}: {told}");
            assert_eq!(error.kind(), FileErrorKind::Unavailable, "{told}");
        }
        let lists = lock(&storage.heads).iter().filter(|head| head.contains("list-type=2")).count();
        assert_eq!(lists, if code == "InternalError" { MAX_RETRIES + 1 } else { 1 }, "{code}");
    }
}

#[tokio::test]
async fn errors_of_others_show_their_beginning() {
    let page = format!("<html>\r\n<body>Bad gateway, key {ID}, {}</body>", "x".repeat(100_000));
    let storage = Scripted::start(move |_| (403, page.clone()));
    for (name, error) in every_request(&storage.storage()).await {
        let told = ErrorChain(&error.expect("an error")).to_string();
        assert_harmless(&told);
        assert!(told.contains("403") && told.contains("Bad gateway, key ***, x"), "{name}: {told}");
        assert!(told.len() < 600 && !told.contains('\n'), "{name}: {told}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_a_listing_is_not_an_empty_directory() {
    for (body, said) in [
        ("<html>log in</html>".to_owned(), "with `<html>log in</html>`, expected a `ListBucketResult`"),
        (String::new(), "with nothing, expected a `ListBucketResult`"),
        (error_body("AccessDenied"), "the error `AccessDenied: the message, of ***`"),
        ("<ListBucketResult><Contents><Key>p/a</Key>".to_owned(), "invalid list response"),
        ("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>".to_owned(), "is missing"),
        (
            format!(
                "<ListBucketResult><Contents><Key>p/{ID}{SECRET}</Key><Size>z</Size></Contents></ListBucketResult>"
            ),
            "invalid list response",
        ),
    ] {
        let storage = Scripted::start(move |_| (200, body.clone()));
        let error = storage.fetch_prefix().await.expect_err("it is not a listing");
        let told = ErrorChain(&error).to_string();
        assert_eq!(error.kind(), FileErrorKind::Unavailable, "{told}");
        assert_harmless(&told);
        assert!(told.to_lowercase().contains(&said.to_lowercase()), "{told}");
    }
    let empty = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>".to_owned();
    let storage = Scripted::start(move |_| (200, empty.clone()));
    storage.fetch_prefix().await.expect("an empty directory");
}

#[tokio::test]
async fn a_listing_that_repeats_itself_ends() {
    let object = "<Contents><Key>p/dir/</Key><LastModified>2026-01-01T00:00:00Z</LastModified>\
                  <ETag>e</ETag><Size>0</Size></Contents>";
    for (content, same_token, said) in [
        ("", true, "the same `NextContinuationToken` came again"),
        (object, false, "the same keys came again"),
    ] {
        let count = Arc::new(AtomicUsize::new(0));
        let storage = Scripted::start(move |head: &str| {
            if !head.contains("list-type=2") {
                return (404, String::new());
            }
            let number = if same_token { 0 } else { count.fetch_add(1, Ordering::Relaxed) };
            let token = format!("<NextContinuationToken>t{number}</NextContinuationToken>");
            (
                200,
                format!(
                    "<ListBucketResult><IsTruncated>true</IsTruncated>{token}{content}</ListBucketResult>"
                ),
            )
        });
        let error = storage.fetch_prefix().await.expect_err("it ends");
        let told = ErrorChain(&error).to_string();
        assert_eq!(error.kind(), FileErrorKind::Unavailable, "{told}");
        assert!(told.contains(said), "{told}");
        assert!(lock(&storage.heads).len() <= 4);
    }
}

#[test]
fn the_keys_of_a_role_are_fetched_once_for_all_buckets() {
    let role = vec![(AmazonS3ConfigKey::ContainerCredentialsRelativeUri, "/role".to_owned())];
    let mut storage = Storage::new(settings("http://127.0.0.1:1")).expect("a storage");
    if let Backend::S3 { credentials, .. } = &mut storage.backend {
        *credentials = Credentials::Role(role);
    }
    for bucket in ["results", "others"] {
        storage.store(bucket).expect("a store");
    }
    let fetched = storage.role_keys.get().expect("there is one source");
    assert_eq!(Arc::strong_count(fetched), 3, "both stores have it");
}
