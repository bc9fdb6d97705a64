//! The upper bound: `object_store` in a loop, with as many requests at once as the worker makes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::multipart::MultipartStore;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio::task::spawn_blocking;

use super::{Address, Kind, LARGE_KEY, MANY_PREFIX, PARALLEL, PART, SENT};
use crate::measure::Stretch;

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Moves the files, and prints the seconds that it took, then the other figures.
#[expect(clippy::print_stdout, reason = "its output is read by the benchmark")]
pub(super) fn run(kind: Kind, directory: &Path, address: &Address) -> std::result::Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let store = Arc::new(store(address).map_err(|error| error.to_string())?);
        let (stretch, began) = (Stretch::begin(), Instant::now());
        let moved = match kind {
            Kind::Down => down(&store, directory).await,
            Kind::Up => up(&store, directory).await,
            Kind::Many => many(&store, directory).await,
        };
        moved.map_err(|error| error.to_string())?;
        println!("{}", began.elapsed().as_secs_f64());
        stretch.end(1);
        Ok(())
    })
}

fn store(address: &Address) -> Result<AmazonS3> {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = AmazonS3Builder::new()
        .with_endpoint(&address.endpoint)
        .with_access_key_id(&address.access_key)
        .with_secret_access_key(&address.secret_key)
        .with_bucket_name(&address.bucket)
        .with_allow_http(true);
    Ok(builder.build()?)
}

async fn down(store: &Arc<AmazonS3>, directory: &Path) -> Result<()> {
    let key = Key::from(LARGE_KEY);
    let size = store.head(&key).await?.size;
    let path = directory.join("bare.bin");
    let file = Arc::new(spawn_blocking(move || File::create(path)).await??);
    let ranges = (0..size.div_ceil(PART)).map(|number| number * PART..size.min((number + 1) * PART));
    stream::iter(ranges)
        .map(|range| {
            let (store, key, file) = (store.clone(), key.clone(), file.clone());
            async move {
                let bytes = store.get_range(&key, range.clone()).await?;
                spawn_blocking(move || file.write_all_at(&bytes, range.start)).await??;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            }
        })
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await
}

async fn up(store: &Arc<AmazonS3>, directory: &Path) -> Result<()> {
    let key = Key::from("bare.bin");
    let path = directory.join(SENT);
    let file = Arc::new(spawn_blocking(move || File::open(path)).await??);
    let size = file.metadata()?.len();
    let id = store.create_multipart(&key).await?;
    let parts = stream::iter(0..size.div_ceil(PART))
        .map(|number| {
            let (store, key, id, file) = (store.clone(), key.clone(), id.clone(), file.clone());
            async move {
                let length = (size - number * PART).min(PART) as usize;
                let read = spawn_blocking(move || {
                    let mut bytes = vec![0; length];
                    file.read_exact_at(&mut bytes, number * PART).map(|()| Bytes::from(bytes))
                });
                let bytes = read.await??;
                let part = store.put_part(&key, &id, number as usize, bytes.into()).await?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(part)
            }
        })
        .buffered(PARALLEL)
        .try_collect()
        .await?;
    store.complete_multipart(&key, &id, parts).await?;
    Ok(())
}

async fn many(store: &Arc<AmazonS3>, directory: &Path) -> Result<()> {
    let directory = directory.join("bare");
    let listed = store.list(Some(&Key::from(MANY_PREFIX)));
    let listed = listed.map_err(|error| Box::new(error) as Box<dyn std::error::Error + Send + Sync>);
    listed
        .try_for_each_concurrent(PARALLEL, |object| {
            let (store, path) = (store.clone(), directory.join(object.location.as_ref()));
            async move {
                let bytes = store.get(&object.location).await?.bytes().await?;
                let written = spawn_blocking(move || {
                    std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
                    std::fs::write(&path, &bytes)
                });
                Ok(written.await??)
            }
        })
        .await
}
