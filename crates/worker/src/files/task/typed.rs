//! Types for files in parameters and data.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use rxon::text::excerpt;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::TaskFiles;
use crate::files::metadata::InputKind;
use crate::files::storage::NO_STORAGE;

thread_local! {
    /// The files of the task whose parameters are being read on this thread.
    static READING: RefCell<Option<TaskFiles>> = const { RefCell::new(None) };
}

/// Reads the parameters of a task. Files in them must be inputs of this task.
pub(crate) fn read_for_task<T>(files: &TaskFiles, read: impl FnOnce() -> T) -> T {
    struct Restore(Option<TaskFiles>);
    impl Drop for Restore {
        fn drop(&mut self) {
            READING.set(self.0.take());
        }
    }
    let _restore = Restore(READING.replace(Some(files.clone())));
    read()
}

/// A file in the parameters: an `s3://` address, whose object is fetched before the handler runs.
///
/// Any other value, such as an address that ends in `/` or a path, fails the task with `INVALID_INPUT_ERROR`, which names
/// the place in the parameters.
///
/// ```
/// use avtomatika_worker::files::{InputFile, OutputFile};
/// use avtomatika_worker::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize)]
/// struct Shrink {
///     picture: InputFile,
/// }
///
/// #[derive(Serialize)]
/// struct Shrunk {
///     picture: OutputFile,
/// }
///
/// async fn shrink(Params(shrink): Params<Shrink>, files: TaskFiles) -> Result<Json<Shrunk>, TaskError> {
///     let small = files.path_to("small.png").await?;
///     tokio::fs::copy(&shrink.picture, &small).await?;
///     Ok(Json(Shrunk { picture: small.into() }))
/// }
///
/// let builder = Worker::builder().task("shrink", shrink);
/// # let _: avtomatika_worker::WorkerBuilder = builder;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InputFile(PathBuf);

/// A directory in the parameters: an `s3://` address that ends in `/`, below which all objects are fetched before the
/// handler runs. Any other value fails the task, as for [`InputFile`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InputDir(PathBuf);

/// A file or a directory in a handler's data: a full path, as [`TaskFiles::path_to`] returns it. It is uploaded after the
/// handler, and the orchestrator gets its address.
///
/// The path stays unchanged if nothing exists there, or if it is not in the task's directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OutputFile(PathBuf);

/// Reads the path of an input of this kind.
fn input<'de, D: Deserializer<'de>>(
    deserializer: D,
    kind: InputKind,
    expected: &str,
) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(deserializer)?;
    let Some(files) = READING.with_borrow(Clone::clone) else {
        return Err(D::Error::custom("an input file can only be read from the parameters of a task"));
    };
    if files.0.inputs.get().and_then(|inputs| inputs.get(&text)) == Some(&kind) {
        return Ok(text.into());
    }
    let shown = excerpt(&text);
    Err(D::Error::custom(if text.starts_with("s3://") && files.0.mover.is_none() {
        format!("`{shown}` was not fetched: {NO_STORAGE}")
    } else {
        format!("`{shown}` is not an input that was fetched for the task, expected {expected}")
    }))
}

macro_rules! path {
    ($($name:ident)*) => { $(
        impl $name {
            /// The full path.
            pub fn path(&self) -> &Path {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = Path;

            fn deref(&self) -> &Path {
                &self.0
            }
        }

        impl AsRef<Path> for $name {
            fn as_ref(&self) -> &Path {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.display().fmt(formatter)
            }
        }

        #[cfg(feature = "schemars")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "format": "uri"})
            }
        }
    )* };
}

path! { InputFile InputDir OutputFile }

impl<'de> Deserialize<'de> for InputFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        input(deserializer, InputKind::File, "the address of an object, `s3://bucket/key`").map(Self)
    }
}

impl<'de> Deserialize<'de> for InputDir {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "an address that ends in `/`, `s3://bucket/prefix/`";
        input(deserializer, InputKind::Directory, expected).map(Self)
    }
}

impl Serialize for OutputFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl From<PathBuf> for OutputFile {
    fn from(path: PathBuf) -> Self {
        Self(path)
    }
}
