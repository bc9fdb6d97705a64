//! A small S3 for development and tests.

mod conditions;
mod content;
mod digests;
mod door;
mod files;
mod kept;
mod listing;
mod service;
mod settings;
mod store;
mod watch;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use s3s::S3Error;
use s3s::auth::{S3Auth, SecretKey};
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::listing::Query;
use self::store::Buckets;
use crate::connections;
use crate::faults::{Faults, FaultyStorage};
use crate::host::OwnNames;
use crate::peer::Peer;
use crate::persist::Keeper;

pub(crate) use self::door::Door;
pub(crate) use self::files::{FileError, FilePage, Files};
pub(crate) use self::kept::KeptBuckets;
pub use self::settings::S3Settings;
pub(crate) use self::watch::Watch;

/// The region in the configuration of clients.
const REGION: &str = "us-east-1";

/// A local S3 inside this process, with its files on disk while it runs. Dropping it ends it without waiting;
/// [`shutdown`](Self::shutdown) waits for the end.
///
/// - Path-style addresses (`http://127.0.0.1:1234/bucket/key`); signature version 4 in headers, presigned URLs and
///   chunks. Wrong keys are refused.
/// - Object keys have no structure: `a` and `a/b` can exist at the same time, and `..` has no meaning.
/// - Ranges, conditions, `ETag`s and multipart uploads as in S3; listings with prefix, delimiter and pages; copies;
///   declared checksums are compared.
/// - No versions, access lists, encryption or tags: unsupported requests are answered with `NotImplemented`.
///
/// ```
/// use avtomatika_dev::{LocalS3, S3Settings};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let storage = LocalS3::start(S3Settings::new()).await?;
/// storage.put(storage.bucket(), "pictures/one.png", "not a picture").await?;
/// // The configuration of a worker, or of any other client.
/// for (variable, value) in storage.variables() {
///     println!("{variable}={value}");
/// }
/// assert_eq!(storage.keys(storage.bucket(), "pictures/")?, ["pictures/one.png"]);
/// storage.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub struct LocalS3 {
    store: Arc<Buckets>,
    address: SocketAddr,
    access_key: String,
    secret_key: String,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Ends the storage when it is dropped.
    _guard: DropGuard,
}

impl LocalS3 {
    /// Starts a storage on the address of [`S3Settings::with_address`], on the runtime of the caller.
    ///
    /// # Errors
    /// When it cannot listen on the address, the directory cannot be created, or the name of a bucket is invalid.
    #[expect(clippy::unused_async, reason = "it spawns: being async keeps callers inside a runtime")]
    pub async fn start(settings: S3Settings) -> io::Result<Self> {
        Self::open(settings, Watch::default(), Arc::new(Faults::new()), None)
    }

    /// Does the same as [`start`](Self::start), reports requests to the watch, and has faults that can be switched. With
    /// a state it goes on with the contents of that. The caller has to be inside a runtime.
    pub(crate) fn open(
        settings: S3Settings,
        watch: Watch,
        faults: Arc<Faults>,
        state: Option<(Keeper, KeptBuckets)>,
    ) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(settings.address)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let keeper = state.as_ref().map(|(keeper, _)| keeper.clone());
        let store = Arc::new(match state {
            Some((keeper, kept)) => Buckets::restored(keeper, kept),
            None => Buckets::new(settings.directory.as_deref())?,
        });
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let guard = stop.clone().drop_guard();
        let S3Settings { access_key, secret_key, buckets, allowed_hosts, .. } = settings;
        let names = OwnNames::new(address, allowed_hosts);
        let service = Door::new(names, service(store.clone(), watch, &access_key, &secret_key), keeper);
        let storage = Self { store, address, access_key, secret_key, tasks, stop, _guard: guard };
        for bucket in buckets {
            // A name that is given twice stands for one bucket.
            if !storage.has_bucket(&bucket) {
                storage.create_bucket(&bucket)?;
            }
        }
        let stop = storage.stop.clone();
        let greet = move |stream: &_| {
            let peer = Peer::of(stream)?;
            Ok(FaultyStorage::new(service.clone(), faults.clone(), peer, stop.clone()))
        };
        let accepting = connections::accept(listener, greet, storage.tasks.clone(), storage.stop.clone());
        storage.tasks.spawn(accepting);
        tracing::info!(endpoint = %storage.endpoint(), "local S3 listening");
        Ok(storage)
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint for clients. It has the loopback address if the storage listens on all addresses.
    pub fn endpoint(&self) -> String {
        connections::url(self.address)
    }

    /// The access key for clients.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// The secret key for clients.
    pub fn secret_key(&self) -> &str {
        &self.secret_key
    }

    /// The bucket that always exists: `avtomatika-payloads`.
    pub fn bucket(&self) -> &str {
        settings::BUCKET
    }

    /// The region for clients; any other region works, too.
    pub fn region(&self) -> &str {
        REGION
    }

    /// The environment variables for a worker that uses this storage.
    pub fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("S3_ENDPOINT_URL", self.endpoint()),
            ("S3_ACCESS_KEY", self.access_key.clone()),
            ("S3_SECRET_KEY", self.secret_key.clone()),
            ("S3_REGION", REGION.to_owned()),
            ("S3_DEFAULT_BUCKET", settings::BUCKET.to_owned()),
        ]
    }

    /// Creates a bucket.
    ///
    /// # Errors
    /// When the bucket exists, or the name is not a valid bucket name.
    pub fn create_bucket(&self, name: &str) -> io::Result<()> {
        if !s3s::path::check_bucket_name(name) {
            let text = format!(
                "the bucket is `{name}`, expected 3 to 63 lower-case letters, digits, dots and hyphens"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.store.create_bucket(name).map_err(io_error)
    }

    /// Stores an object in a bucket, without using the network.
    ///
    /// # Errors
    /// When the bucket does not exist, or the bytes cannot be written.
    pub async fn put(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) -> io::Result<()> {
        let body = stream::iter([Ok::<_, io::Error>(bytes.into())]);
        let stored = self.files().put(bucket, key.to_owned(), None, body).await;
        stored.map(drop).map_err(|error| match error {
            FileError::Unknown(problem) => io::Error::new(io::ErrorKind::NotFound, problem),
            FileError::Body(error) | FileError::Disk(error) => error,
        })
    }

    /// Returns the bytes of an object, all in memory, without using the network.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) when the object does not exist; another kind when it cannot be read.
    pub async fn get(&self, bucket: &str, key: &str) -> io::Result<Bytes> {
        let object = self.store.object(bucket, key).map_err(io_error)?;
        let pieces = content::read(object.segments.clone(), 0..object.size);
        let whole = BytesMut::with_capacity(object.size as usize);
        let whole = pieces.boxed().try_fold(whole, |mut whole, piece| async move {
            whole.extend_from_slice(&piece);
            Ok(whole)
        });
        Ok(whole.await?.freeze())
    }

    /// Returns the keys of a bucket that begin with `prefix`, in order.
    ///
    /// # Errors
    /// When the bucket does not exist.
    pub fn keys(&self, bucket: &str, prefix: &str) -> io::Result<Vec<String>> {
        let query = Query { prefix, limit: usize::MAX, ..Query::default() };
        let keys = self.store.look(bucket, |bucket| {
            let page = listing::page(&bucket.objects, query);
            Ok(page.objects.into_iter().map(|(key, _)| key.to_owned()).collect())
        });
        keys.map_err(io_error)
    }

    /// Removes an object. Removing an object that does not exist succeeds, too.
    ///
    /// # Errors
    /// When the bucket does not exist.
    pub fn delete(&self, bucket: &str, key: &str) -> io::Result<()> {
        self.store.delete(bucket, std::iter::once(key)).map_err(io_error)
    }

    /// Returns the keys of the multipart uploads that were neither completed nor aborted.
    ///
    /// # Errors
    /// When the bucket does not exist.
    pub fn open_uploads(&self, bucket: &str) -> io::Result<Vec<String>> {
        let keys = self
            .store
            .look(bucket, |bucket| Ok(bucket.uploads.values().map(|upload| upload.key.clone()).collect()));
        keys.map_err(io_error)
    }

    /// Shuts down: closes connections and removes all files, unless they belong to a [`State`](crate::State). Takes 2 s at
    /// most.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let endpoint = self.endpoint();
        // Removing many files may block. A response that still reads a file keeps the directory until it ends.
        let removal = tokio::task::spawn_blocking(move || drop(self));
        if let Err(error) = removal.await {
            tracing::warn!(%error, "the files of the local S3 may not be removed");
        }
        tracing::info!(%endpoint, "local S3 ended");
    }

    /// The objects, for the API for people.
    pub(crate) fn files(&self) -> Files {
        Files(self.store.clone())
    }

    fn has_bucket(&self, name: &str) -> bool {
        self.store.look(name, |_| Ok(())).is_ok()
    }
}

impl fmt::Debug for LocalS3 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LocalS3")
            .field("endpoint", &self.endpoint())
            .field("files", &self.store.folder.path())
            .finish_non_exhaustive()
    }
}

fn service(store: Arc<Buckets>, watch: Watch, access_key: &str, secret_key: &str) -> S3Service {
    let mut builder = S3ServiceBuilder::new(service::Operations { store, watch });
    builder.set_auth(Keys { access_key: access_key.to_owned(), secret_key: secret_key.into() });
    builder.build()
}

/// The accepted pair of keys.
struct Keys {
    access_key: String,
    secret_key: SecretKey,
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> s3s::S3Result<SecretKey> {
        if access_key == self.access_key {
            return Ok(self.secret_key.clone());
        }
        Err(s3s::s3_error!(InvalidAccessKeyId, "the access key `{access_key}` is unknown"))
    }
}

/// Converts an error of the storage for callers in this process.
#[expect(clippy::needless_pass_by_value, reason = "`map_err` passes it by value")]
fn io_error(error: S3Error) -> io::Error {
    use s3s::S3ErrorCode as Code;

    let kind = match error.code() {
        Code::NoSuchBucket | Code::NoSuchKey => io::ErrorKind::NotFound,
        Code::BucketAlreadyOwnedByYou => io::ErrorKind::AlreadyExists,
        _ => io::ErrorKind::Other,
    };
    let text = error.message().map_or_else(|| error.code().as_str().to_owned(), str::to_owned);
    io::Error::new(kind, text)
}
