//! Slow and broken lines.

use super::*;

const LIMIT: Duration = Duration::from_secs(1);

/// A storage that takes uploads.
fn takes_uploads(head: &str) -> (u16, String) {
    let body = match head {
        head if head.starts_with("POST") && head.contains("?uploads") => {
            "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
        }
        head if head.starts_with("POST") => {
            "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>"
        }
        _ => "",
    };
    (200, body.to_owned())
}

/// Several parts share the line, so each of them takes many times the limit.
#[tokio::test]
async fn an_upload_over_a_slow_line_is_not_given_up_while_bytes_move() {
    const SIZE: u64 = 17 << 20;
    let line = Line { bytes_per_second: f64::from(5 << 20), free: Mutex::new(tokio::time::Instant::now()) };
    let storage = Scripted::behind(Some(Arc::new(line)), takes_uploads);
    let folder = tempfile::tempdir().expect("a folder");
    let task = task_in(folder.path(), Storage::with_limit(storage.settings(), LIMIT).expect("a storage"));
    let path = task.path_to("large").await.expect("a path");
    std::fs::File::create(path).and_then(|file| file.set_len(SIZE)).expect("made");
    let begin = std::time::Instant::now();
    let sent = task.upload_file("large").await.expect("sent");
    assert!(begin.elapsed() > 2 * LIMIT, "{:?}", begin.elapsed());
    assert_eq!(sent.size, Some(SIZE));
    let heads = storage.take_heads();
    assert_eq!(heads.len(), 5, "begin, three parts, end, and none of them again: {heads:?}");
}

#[tokio::test]
async fn a_transfer_in_which_no_byte_moves_is_tried_once_more_and_given_up() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut silent = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            silent.push(stream);
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let limit = Duration::from_millis(300);
    let task = task_in(folder.path(), Storage::with_limit(settings(&address), limit).expect("a storage"));
    let error = task.download_file("s3://in/k", "k").await.expect_err("it is silent");
    let told = ErrorChain(&error).to_string();
    assert_eq!(error.kind(), FileErrorKind::Unavailable, "{told}");
    assert!(told.contains("without a byte moving"), "{told}");
    assert_eq!(count.load(Ordering::Relaxed), 2);
}
