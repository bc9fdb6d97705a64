//! An S3 storage for files, our own or moto, so that each test can run with both.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use avtomatika_dev::{LocalS3, S3Settings};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio::runtime::Runtime;
use ureq::Agent;

use crate::installation;
use crate::process::Process;
use crate::wait::{LIMIT, until};

/// The characters that are not encoded in the path of an object.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// A signature for moto, which requires one but does not check it.
const SIGNED: (&str, &str) = (
    "authorization",
    "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
);

/// The kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageKind {
    /// [`LocalS3`], in this process.
    Local,
    /// `moto[server]`, in a process of its own. It accepts any access keys.
    Moto,
}

/// An S3 storage with the bucket `avtomatika-payloads`. Dropping it ends it.
#[derive(Debug)]
pub struct Storage {
    kind: StorageKind,
    address: SocketAddr,
    access_key: String,
    secret_key: String,
    server: Server,
}

#[derive(Debug)]
enum Server {
    /// The server with its runtime, which is dropped after it.
    Local(Option<LocalS3>, Runtime),
    Moto(Agent, #[expect(dead_code, reason = "dropping it ends the process")] Process),
}

impl Storage {
    /// Starts a storage on a free port, and waits until it listens. Must not be called inside a runtime.
    pub fn start(kind: StorageKind) -> Self {
        match kind {
            StorageKind::Local => Self::start_local(),
            StorageKind::Moto => Self::start_moto(),
        }
    }

    fn start_local() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let server = runtime.block_on(LocalS3::start(S3Settings::new())).expect("a free port");
        Self {
            kind: StorageKind::Local,
            address: server.address(),
            access_key: server.access_key().to_owned(),
            secret_key: server.secret_key().to_owned(),
            server: Server::Local(Some(server), runtime),
        }
    }

    fn start_moto() -> Self {
        let mut command = Command::new(installation::moto());
        command.arg(installation::moto_program()).env("PYTHONUNBUFFERED", "1");
        let mut process = Process::spawn("moto", &mut command);
        let port = until("moto listens", LIMIT, || {
            assert!(process.exit_code().is_none(), "moto ended before it listened");
            let lines = process.log().lines();
            lines.iter().find_map(|line| line.strip_prefix("READY ")?.parse::<u16>().ok())
        });
        let config = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(20)))
            .proxy(None)
            .http_status_as_error(false);
        let storage = Self {
            kind: StorageKind::Moto,
            address: (Ipv4Addr::LOCALHOST, port).into(),
            access_key: "any".to_owned(),
            secret_key: "any".to_owned(),
            server: Server::Moto(config.build().into(), process),
        };
        storage.create_bucket(storage.bucket());
        storage
    }

    /// The kind of the server.
    pub fn kind(&self) -> StorageKind {
        self.kind
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint for clients.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The access key.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// The secret key.
    pub fn secret_key(&self) -> &str {
        &self.secret_key
    }

    /// The bucket that exists from the start.
    pub fn bucket(&self) -> &'static str {
        "avtomatika-payloads"
    }

    /// Returns the address of an object in the bucket.
    pub fn uri(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket())
    }

    /// The environment variables for workers and orchestrators that use this storage.
    pub fn variables(&self) -> [(&'static str, String); 5] {
        self.variables_at(&self.endpoint())
    }

    /// The environment variables for clients that use another endpoint, such as a proxy.
    pub fn variables_at(&self, endpoint: &str) -> [(&'static str, String); 5] {
        [
            ("S3_ENDPOINT_URL", endpoint.to_owned()),
            ("S3_ACCESS_KEY", self.access_key.clone()),
            ("S3_SECRET_KEY", self.secret_key.clone()),
            ("S3_REGION", "us-east-1".to_owned()),
            ("S3_DEFAULT_BUCKET", self.bucket().to_owned()),
        ]
    }

    /// Creates a bucket.
    pub fn create_bucket(&self, name: &str) {
        match &self.server {
            Server::Local(server, _) => running(server.as_ref()).create_bucket(name).expect("a bucket"),
            Server::Moto(agent, _) => {
                let made =
                    agent.put(format!("{}/{name}", self.endpoint())).header(SIGNED.0, SIGNED.1).send_empty();
                assert_eq!(made.expect("moto answers").status(), 200);
            }
        }
    }

    /// Stores an object in the bucket, with any key.
    pub fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        self.put_in(self.bucket(), key, bytes);
    }

    /// Stores an object in another bucket, with any key.
    pub fn put_in(&self, bucket: &str, key: &str, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        match &self.server {
            Server::Local(server, runtime) => {
                runtime.block_on(running(server.as_ref()).put(bucket, key, bytes)).expect("it is written");
            }
            Server::Moto(agent, _) => {
                let put = agent
                    .put(self.url(bucket, key))
                    .header(SIGNED.0, SIGNED.1)
                    .content_type("binary/octet-stream")
                    .send(&bytes);
                assert_eq!(put.expect("moto answers").status(), 200, "{key}");
            }
        }
    }

    /// Returns the bytes of an object in the bucket; `None` if it does not exist.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        match &self.server {
            Server::Local(server, runtime) => {
                runtime.block_on(running(server.as_ref()).get(self.bucket(), key)).ok().map(Vec::from)
            }
            Server::Moto(agent, _) => {
                let mut got = agent
                    .get(self.url(self.bucket(), key))
                    .header(SIGNED.0, SIGNED.1)
                    .call()
                    .expect("moto answers");
                let body = got.body_mut().with_config().limit(u64::MAX).read_to_vec();
                (got.status() == 200).then(|| body.expect("a whole body"))
            }
        }
    }

    /// Removes an object from the bucket.
    pub fn delete(&self, key: &str) {
        match &self.server {
            Server::Local(server, _) => {
                running(server.as_ref()).delete(self.bucket(), key).expect("the bucket is there");
            }
            Server::Moto(agent, _) => {
                let deleted = agent.delete(self.url(self.bucket(), key)).header(SIGNED.0, SIGNED.1).call();
                assert_eq!(deleted.expect("moto answers").status(), 204, "{key}");
            }
        }
    }

    /// Returns the keys in the bucket that begin with `prefix`, in order.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let Server::Moto(agent, _) = &self.server else {
            return self.local().keys(self.bucket(), prefix).expect("the bucket is there");
        };
        let base =
            format!("{}/{}?list-type=2&encoding-type=url&max-keys=100", self.endpoint(), self.bucket());
        let base = format!("{base}&prefix={}", utf8_percent_encode(prefix, NON_ALPHANUMERIC));
        let (mut keys, mut after) = (Vec::new(), String::new());
        loop {
            let xml = text_of(agent, &format!("{base}{after}"));
            keys.extend(elements(&xml, "Key").map(decoded));
            match elements(&xml, "NextContinuationToken").next() {
                Some(token) => {
                    after = format!("&continuation-token={}", utf8_percent_encode(token, NON_ALPHANUMERIC));
                }
                None => return keys,
            }
        }
    }

    /// Returns the keys of the bucket's multipart uploads that were neither completed nor aborted.
    pub fn open_uploads(&self) -> Vec<String> {
        match &self.server {
            Server::Local(server, _) => {
                running(server.as_ref()).open_uploads(self.bucket()).expect("the bucket is there")
            }
            Server::Moto(agent, _) => {
                let xml = text_of(agent, &format!("{}/{}?uploads", self.endpoint(), self.bucket()));
                elements(&xml, "Key").map(str::to_owned).collect()
            }
        }
    }

    fn local(&self) -> &LocalS3 {
        match &self.server {
            Server::Local(server, _) => running(server.as_ref()),
            Server::Moto(..) => unreachable!("called for a local storage only"),
        }
    }

    fn url(&self, bucket: &str, key: &str) -> String {
        format!("{}/{bucket}/{}", self.endpoint(), utf8_percent_encode(key, IN_PATH))
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        if let Server::Local(server, runtime) = &mut self.server
            && let Some(server) = server.take()
        {
            runtime.block_on(server.shutdown());
        }
    }
}

fn running(server: Option<&LocalS3>) -> &LocalS3 {
    server.expect("the server exists until the storage is dropped")
}

fn text_of(agent: &Agent, url: &str) -> String {
    let mut got = agent.get(url).header(SIGNED.0, SIGNED.1).call().expect("moto answers");
    assert_eq!(got.status(), 200, "{url}");
    got.body_mut().read_to_string().expect("a whole body")
}

fn elements<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let end = format!("</{name}>");
    xml.split(&format!("<{name}>"))
        .skip(1)
        .filter_map(move |rest| Some(rest.split_once(&end)?.0))
        .collect::<Vec<_>>()
        .into_iter()
}

fn decoded(name: &str) -> String {
    percent_decode_str(name).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any_key_and_many_keys(kind: StorageKind) {
        let storage = Storage::start(kind);
        for key in ["a", "a/b", "..", "../x", "a//b", "ü ж", "a%20b"] {
            storage.put(key, key.as_bytes());
            assert_eq!(storage.get(key).as_deref(), Some(key.as_bytes()), "{key}");
        }
        assert_eq!(storage.get("never"), None);
        let mut wanted = vec!["..", "../x", "a", "a%20b", "a/b", "a//b", "ü ж"];
        wanted.sort_unstable();
        assert_eq!(storage.keys(""), wanted);
        for number in 0..150 {
            storage.put(&format!("many/{number:04}"), "");
        }
        assert_eq!(storage.keys("many/").len(), 150);
        storage.delete("a");
        assert_eq!(storage.get("a"), None);
        assert!(storage.open_uploads().is_empty());
    }

    #[test]
    fn the_local_storage_takes_any_key_and_many_keys() {
        any_key_and_many_keys(StorageKind::Local);
    }

    #[test]
    fn moto_takes_any_key_and_many_keys() {
        any_key_and_many_keys(StorageKind::Moto);
    }
}
