//! The bytes of objects on disk: written as they arrive, read on demand.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tempfile::TempDir;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use super::digests::Digests;
use crate::persist::Keeper;

/// The size of one write and of one read, in bytes.
const BATCH: usize = 512 * 1024;

/// The directory of the files. Their names are numbers: no text of a client ever becomes a part of a path.
#[derive(Debug)]
pub(super) struct Folder {
    place: Place,
    /// The number of the next file.
    next: AtomicU64,
}

#[derive(Debug)]
enum Place {
    /// Removed with all files when the last reference is dropped.
    Temporary(TempDir),
    /// Stays; at the end it has the files of the objects that there are then.
    Kept { keeper: Keeper, is_closed: AtomicBool },
}

impl Folder {
    /// Creates a new directory inside `parent`, or inside the system's directory for temporary files.
    pub(super) fn new(parent: Option<&Path>) -> io::Result<Arc<Self>> {
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("avtomatika-s3-");
        let directory = match parent {
            Some(parent) => builder.tempdir_in(parent)?,
            None => builder.tempdir()?,
        };
        Ok(Arc::new(Self { place: Place::Temporary(directory), next: AtomicU64::new(0) }))
    }

    /// Goes on with the files of an earlier storage, of which `next` is the first unused number.
    pub(super) fn kept(keeper: Keeper, next: u64) -> Arc<Self> {
        let place = Place::Kept { keeper, is_closed: AtomicBool::new(false) };
        Arc::new(Self { place, next: AtomicU64::new(next) })
    }

    pub(super) fn path(&self) -> &Path {
        match &self.place {
            Place::Temporary(directory) => directory.path(),
            Place::Kept { keeper, .. } => keeper.files(),
        }
    }

    /// Lets the files of a kept directory stay from now on.
    pub(super) fn close(&self) {
        if let Place::Kept { is_closed, .. } = &self.place {
            is_closed.store(true, Ordering::Relaxed);
        }
    }

    fn remove(&self, path: &Path) {
        match &self.place {
            // After an error the file only takes space, until the whole directory is removed.
            Place::Temporary(_) => drop(std::fs::remove_file(path)),
            Place::Kept { is_closed, .. } if is_closed.load(Ordering::Relaxed) => {}
            // Until the change is committed, a restart brings the object back.
            Place::Kept { keeper, .. } => keeper.remove_file(path.to_owned()),
        }
    }
}

/// One file. It is removed when the last reference is dropped, so that readers of a replaced object are not disturbed.
#[derive(Debug)]
struct Blob {
    number: u64,
    path: PathBuf,
    folder: Arc<Folder>,
}

impl Blob {
    fn new(folder: &Arc<Folder>, number: u64) -> Self {
        Self { number, path: folder.path().join(number.to_string()), folder: folder.clone() }
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        self.folder.remove(&self.path);
    }
}

/// A file that is a part of an object: the parts of a multipart upload are never copied into one file.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    blob: Arc<Blob>,
    pub(super) size: u64,
}

impl Segment {
    /// A file of an earlier storage.
    pub(super) fn kept(folder: &Arc<Folder>, number: u64, size: u64) -> Self {
        Self { blob: Arc::new(Blob::new(folder, number)), size }
    }

    /// The number that is the name of the file.
    pub(super) fn number(&self) -> u64 {
        self.blob.number
    }
}

/// A received body.
#[derive(Debug)]
pub(super) struct Received {
    /// The file; `None` for an empty body.
    pub(super) segment: Option<Segment>,
    pub(super) size: u64,
    pub(super) digests: Digests,
}

/// The reason why a body could not be received.
#[derive(Debug)]
pub(super) enum Broken<E> {
    /// The client ended the body early, or its signature is wrong.
    Body(E),
    /// The disk cannot be written to.
    Disk(io::Error),
}

/// Writes a body to disk. While a thread writes one batch, the next one is read; there are never more than two.
///
/// # Cancel safety
/// Dropping it leaves no file behind.
pub(super) async fn receive<E>(
    folder: &Arc<Folder>,
    mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    digests: Digests,
) -> Result<Received, Broken<E>> {
    let mut idle = Some(Writer { folder: folder.clone(), open: None, size: 0, digests });
    let mut busy: Option<JoinHandle<io::Result<Writer>>> = None;
    let (mut batch, mut size) = (Vec::new(), 0);
    let mut more = true;
    while more {
        match body.next().await {
            Some(piece) => {
                let piece = piece.map_err(Broken::Body)?;
                size += piece.len();
                batch.push(piece);
            }
            None => more = false,
        }
        if size >= BATCH || (!more && size > 0) {
            let mut writer = next_writer(&mut idle, &mut busy).await.map_err(Broken::Disk)?;
            let pieces = std::mem::take(&mut batch);
            size = 0;
            busy = Some(spawn_blocking(move || {
                pieces.iter().try_for_each(|piece| writer.write(piece))?;
                Ok(writer)
            }));
        }
    }
    Ok(next_writer(&mut idle, &mut busy).await.map_err(Broken::Disk)?.finish())
}

async fn next_writer(
    idle: &mut Option<Writer>,
    busy: &mut Option<JoinHandle<io::Result<Writer>>>,
) -> io::Result<Writer> {
    match (idle.take(), busy.take()) {
        (_, Some(busy)) => joined(busy.await),
        (Some(idle), None) => Ok(idle),
        (None, None) => Err(io::Error::other("there is no writer")),
    }
}

fn joined<T>(ended: Result<io::Result<T>, JoinError>) -> io::Result<T> {
    ended.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[derive(Debug)]
struct Writer {
    folder: Arc<Folder>,
    /// The open file; none is created for an empty body.
    open: Option<(File, Blob)>,
    size: u64,
    digests: Digests,
}

impl Writer {
    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        let (file, _) = match &mut self.open {
            Some(open) => open,
            closed => {
                let number = self.folder.next.fetch_add(1, Ordering::Relaxed);
                let blob = Blob::new(&self.folder, number);
                let file = File::create_new(&blob.path)?;
                closed.insert((file, blob))
            }
        };
        file.write_all(piece)?;
        self.digests.update(piece);
        self.size += piece.len() as u64;
        Ok(())
    }

    fn finish(self) -> Received {
        let Self { open, size, digests, .. } = self;
        let segment = open.map(|(_, blob)| Segment { blob: Arc::new(blob), size });
        Received { segment, size, digests }
    }
}

/// Returns the bytes of a range of the joined segments.
pub(super) fn read(
    segments: Vec<Segment>,
    range: Range<u64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
    let reader = Reader { segments, range, open: None };
    stream::try_unfold(reader, |mut reader| async move {
        if reader.range.is_empty() {
            return Ok(None);
        }
        let read = spawn_blocking(move || {
            let bytes = reader.read()?;
            Ok(Some((bytes, reader)))
        });
        joined(read.await)
    })
}

#[derive(Debug)]
struct Reader {
    segments: Vec<Segment>,
    /// The rest of the range.
    range: Range<u64>,
    /// The open file at its current position, and the range of its segment in the object.
    open: Option<(File, Range<u64>)>,
}

impl Reader {
    fn read(&mut self) -> io::Result<Bytes> {
        let at = self.range.start;
        let (file, span) = match &mut self.open {
            Some(open) if open.1.contains(&at) => open,
            other => other.insert(open_at(&self.segments, at)?),
        };
        let wanted = (BATCH as u64).min(self.range.end.min(span.end) - at);
        let mut bytes = Vec::with_capacity(wanted as usize);
        file.take(wanted).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.range.start += wanted;
        Ok(bytes.into())
    }
}

/// Opens the file that contains the byte `at`, at its position.
fn open_at(segments: &[Segment], at: u64) -> io::Result<(File, Range<u64>)> {
    let mut start = 0;
    for segment in segments {
        let span = start..start + segment.size;
        if span.contains(&at) {
            let mut file = File::open(&segment.blob.path)?;
            file.seek(SeekFrom::Start(at - start))?;
            return Ok((file, span));
        }
        start = span.end;
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}
