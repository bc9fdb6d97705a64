//! Files in the types of parameters and data.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::name::shown;
use super::task::{Input, TaskFiles};

thread_local! {
    /// The task whose parameters are being read on this thread.
    static READING: RefCell<Option<TaskFiles>> = const { RefCell::new(None) };
}

/// Reads parameters of a task: files in them are files of that task's.
pub(crate) fn within<T>(files: &TaskFiles, read: impl FnOnce() -> T) -> T {
    struct Restore(Option<TaskFiles>);
    impl Drop for Restore {
        fn drop(&mut self) {
            READING.set(self.0.take());
        }
    }
    let _restore = Restore(READING.replace(Some(files.clone())));
    read()
}

/// A parameter that is a file: an `s3://` address that was fetched before the handler runs. Anything else (an address
/// that ends in `/`, a path that is not the task's own) is `INVALID_INPUT_ERROR`, with its path in the parameters.
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

/// A parameter that is a directory: an `s3://` address that ends in `/`, whose objects were fetched before the handler
/// runs. As [`InputFile`] otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InputDir(PathBuf);

/// A file or a directory in a handler's data, which is uploaded after the handler: a path as
/// [`TaskFiles::path_to`] gives it. The orchestrator gets its address. A path of nothing, or of a file that is not the
/// task's, stays a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OutputFile(PathBuf);

/// The path a text says, if something of this kind was fetched there for the task.
fn fetched(text: &str, kind: Input, expected: &str) -> Result<PathBuf, String> {
    let files = READING.with_borrow(Clone::clone);
    let Some(files) = files else {
        return Err("files can only be read from the parameters of a task".to_owned());
    };
    if files.input(text) == Some(kind) {
        return Ok(PathBuf::from(text));
    }
    let shown = shown(Path::new(text));
    if text.starts_with("s3://") && !files.has_storage() {
        return Err(format!("`{shown}` was not fetched: `S3_ENDPOINT_URL` is not set"));
    }
    Err(format!("`{shown}` is none that was fetched for the task, expected {expected}"))
}

macro_rules! path {
    ($($name:ident)*) => { $(
        impl $name {
            /// Where it is.
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
        let text = String::deserialize(deserializer)?;
        fetched(&text, Input::File, "the address of an object, `s3://bucket/key`")
            .map(Self)
            .map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for InputDir {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expected = "an address that ends in `/`, `s3://bucket/prefix/`";
        fetched(&text, Input::Directory, expected).map(Self).map_err(D::Error::custom)
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
