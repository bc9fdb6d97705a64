//! Files among the parameters: checked before anything is sent, then uploaded.

use std::path::Path;

use anyhow::{Context, anyhow};
use tokio::fs::File;

use crate::client::{Client, encoded};
use crate::exit::Failure;

/// The bucket without `S3_DEFAULT_BUCKET`, as workers have it.
const BUCKET: &str = "avtomatika-payloads";

/// A file that can be read, and its place in the storage.
#[derive(Debug)]
pub(super) struct Upload {
    file: File,
    size: u64,
    shown: String,
    bucket: String,
    /// Two parts of a key, which are separated by a slash.
    key: (String, String),
}

impl Upload {
    /// Opens a file.
    pub(super) async fn of(path: &Path) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        let opened = open(path).await.with_context(|| format!("cannot read `{shown}`"));
        let (file, size) = opened.map_err(Failure::usage)?;
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| {
            Failure::usage(anyhow!("the file is `{shown}`, expected one with a name in UTF-8"))
        })?;
        let bucket = std::env::var("S3_DEFAULT_BUCKET").ok().filter(|bucket| !bucket.is_empty());
        let bucket = bucket.unwrap_or_else(|| BUCKET.to_owned());
        Ok(Self { file, size, shown, bucket, key: (rxon::id::random_uuid(), name.to_owned()) })
    }

    /// The address that the file gets.
    pub(super) fn address(&self) -> String {
        format!("s3://{}/{}/{}", self.bucket, self.key.0, self.key.1)
    }

    /// Makes sure that the server has a place for it.
    pub(super) async fn check_storage(&self, client: &Client) -> Result<(), Failure> {
        let answer = client.get(&format!("/api/files/{}?limit=1", encoded(&self.bucket))).await?;
        if answer.is_not_found() {
            let (server, bucket) = (client.url(), &self.bucket);
            let text = format!(
                "{server} has no storage with the bucket `{bucket}`, so `{}` cannot be sent",
                self.shown
            );
            return Err(Failure::usage(anyhow!(text)));
        }
        if answer.is_success() { Ok(()) } else { Err(answer.failure()) }
    }

    /// Uploads the file.
    pub(super) async fn send(self, client: &Client) -> Result<(), Failure> {
        let Self { file, size, bucket, key: (directory, name), .. } = self;
        let path = format!("/api/files/{}/{}/{}", encoded(&bucket), encoded(&directory), encoded(&name));
        let answer = client.put(&path, file, size).await?;
        if answer.is_success() { Ok(()) } else { Err(answer.failure()) }
    }
}

async fn open(path: &Path) -> anyhow::Result<(File, u64)> {
    let file = File::open(path).await?;
    let kind = file.metadata().await?;
    // Of anything else, the size is not known.
    if kind.is_file() { Ok((file, kind.len())) } else { Err(anyhow!("it is not a file")) }
}
