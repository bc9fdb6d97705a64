//! A directory that keeps the state, for [`Settings::with_state`](crate::Settings::with_state).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::database::{Database, Rows, Unreadable};
use super::error::StateError;
use super::folder::{Folder, Version};
use super::keeper::Keeper;
use super::secrets::Secrets;
use crate::faults::KeptFaults;
use crate::logs::KeptLines;
use crate::s3::KeptBuckets;
use crate::store::KeptStore;

/// A directory that keeps the state of one orchestrator: its tasks with their stories and logs, its workers, the switches
/// of its faults, and the files of its storage.
///
/// It is this process's alone until the orchestrator that it was given to has shut down, or all copies of this are
/// dropped.
///
/// ```
/// use avtomatika_dev::{DevOrchestrator, NewTask, Settings, State};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let directory = folder.path().join("state");
/// let orchestrator = DevOrchestrator::start(Settings::new().with_state(State::open(&directory)?)).await?;
/// let task = orchestrator.submit(NewTask::new("resize_image"))?;
/// orchestrator.shutdown().await;
///
/// let orchestrator = DevOrchestrator::start(Settings::new().with_state(State::open(&directory)?)).await?;
/// assert!(orchestrator.task(&task.job_id).is_some());
/// orchestrator.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct State {
    path: PathBuf,
    secrets: Secrets,
    aside: Option<SetAside>,
    /// Taken by the orchestrator that starts with it.
    opened: Arc<Mutex<Option<Opened>>>,
}

/// Contents of a state directory that could not be read, and were moved away.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetAside {
    /// The directory that they are in now.
    pub path: PathBuf,
    /// The reason, a sentence without its full stop.
    pub reason: String,
}

/// What an orchestrator goes on with.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) keeper: Keeper,
    pub(crate) kept: Kept,
}

/// The contents of a database.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) store: KeptStore,
    pub(crate) lines: KeptLines,
    pub(crate) faults: KeptFaults,
    pub(crate) buckets: KeptBuckets,
}

impl Kept {
    fn read(rows: &Rows) -> Result<Self, Unreadable> {
        Ok(Self {
            store: KeptStore::read(rows)?,
            lines: KeptLines::read(rows)?,
            faults: KeptFaults::read(rows)?,
            buckets: KeptBuckets::read(rows)?,
        })
    }
}

impl State {
    /// Opens a directory, which is made with mode 0700 if there is none, and reads what is in it. Blocks: about a second
    /// for 100,000 tasks.
    ///
    /// What is in it but cannot be read, because it is damaged or of a later version, is moved into a new directory in
    /// it, and the state is empty: see [`set_aside`](Self::set_aside).
    ///
    /// # Errors
    /// [`StateError::Taken`] when another process has it, [`StateError::Foreign`] when it belongs to something else, and
    /// [`StateError::Unusable`] when it cannot be made, read or written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StateError> {
        let folder = Folder::take(path.as_ref())?;
        let (database, kept, aside) = match read(&folder)? {
            Ok((database, kept)) => (database, kept, None),
            Err(reason) => {
                let aside = SetAside { path: folder.set_aside()?, reason };
                let (database, kept) = read(&folder)?.map_err(|reason| StateError::Unusable {
                    path: folder.database(),
                    source: std::io::Error::other(reason),
                })?;
                (database, kept, Some(aside))
            }
        };
        folder.make_files()?;
        kept.buckets.tidy(&folder.files()).map_err(StateError::unusable(folder.files()))?;
        let (secrets, path) = (Secrets::of(&folder)?, folder.path().to_owned());
        let keeper = Keeper::start(database, folder).map_err(StateError::unusable(&path))?;
        let opened = Arc::new(Mutex::new(Some(Opened { keeper, kept })));
        Ok(Self { path, secrets, aside, opened })
    }

    /// The absolute path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The contents that could not be read, if there were some.
    pub fn set_aside(&self) -> Option<&SetAside> {
        self.aside.as_ref()
    }

    /// A token for workers: random, and the same each time that the directory is opened.
    pub fn token(&self) -> &str {
        &self.secrets.token
    }

    /// The access key and the secret key for the storage: random, and the same each time that the directory is opened.
    pub fn storage_keys(&self) -> (&str, &str) {
        (&self.secrets.access_key, &self.secrets.secret_key)
    }

    /// Takes the contents; `None` if an orchestrator has them already.
    pub(crate) fn take(&self) -> Option<Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("State")
            .field("path", &self.path)
            .field("aside", &self.aside)
            .finish_non_exhaustive()
    }
}

/// Opens and reads the database of a directory; an inner error is the reason why what is there cannot be read.
fn read(folder: &Folder) -> Result<Result<(Database, Kept), String>, StateError> {
    match folder.version()? {
        Version::Unknown(reason) => return Ok(Err(reason)),
        // redb would make a new one, and nobody would learn that the old one is gone.
        Version::Known if !folder.has_database()? => return Ok(Err(damaged("it is missing or empty"))),
        Version::Known => {}
        // Written first: a directory with anything else in it has a version.
        Version::New => folder.write_version()?,
    }
    let opened = Database::open(&folder.database()).and_then(|database| {
        let kept = database.read(Kept::read)?;
        Ok((database, kept))
    });
    match opened {
        Ok(opened) => Ok(Ok(opened)),
        Err(Unreadable::Damaged(reason)) => Ok(Err(damaged(&reason))),
        Err(Unreadable::Taken) => Err(StateError::Taken { path: folder.path().to_owned(), holder: None }),
        Err(Unreadable::File(source)) => Err(StateError::Unusable { path: folder.database(), source }),
    }
}

fn damaged(reason: &str) -> String {
    format!("its database is damaged: {}", crate::text::cut(reason, 200))
}
