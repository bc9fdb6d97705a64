//! The local S3 storage, inside the Python process.

use std::io;
use std::sync::Arc;

use avtomatika_dev as dev;
use dev::S3Settings;
use pyo3::exceptions::{PyFileNotFoundError, PyOSError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tokio::runtime::Handle;

use crate::hosted::Hosted;

/// An S3 storage for tests and development, on a thread of its own. Its state is lost when it ends.
#[pyclass(frozen, module = "avtomatika_worker._native")]
pub(crate) struct LocalS3 {
    hosted: Hosted<dev::LocalS3>,
    variables: Vec<(&'static str, String)>,
}

#[pymethods]
impl LocalS3 {
    /// Starts a storage on a free port, with these buckets in addition to its default one.
    #[new]
    fn new(py: Python<'_>, buckets: Vec<String>) -> PyResult<Self> {
        let settings = buckets.into_iter().fold(S3Settings::new(), S3Settings::with_bucket);
        py.detach(|| start(settings)).map_err(PyOSError::new_err)
    }

    /// The worker's options for this storage, by name.
    #[getter]
    fn variables(&self) -> Vec<(&'static str, String)> {
        self.variables.clone()
    }

    /// Creates a bucket.
    fn create_bucket(&self, name: &str) -> PyResult<()> {
        self.running()?.0.create_bucket(name).map_err(|error| os_error(&error))
    }

    /// Puts an object into a bucket.
    fn put(&self, py: Python<'_>, bucket: &str, key: &str, content: Vec<u8>) -> PyResult<()> {
        let (storage, runtime) = self.running()?;
        py.detach(|| runtime.block_on(storage.put(bucket, key, content))).map_err(|error| os_error(&error))
    }

    /// Returns the content of an object.
    fn get<'py>(&self, py: Python<'py>, bucket: &str, key: &str) -> PyResult<Bound<'py, PyBytes>> {
        let (storage, runtime) = self.running()?;
        let content = py.detach(|| runtime.block_on(storage.get(bucket, key)));
        Ok(PyBytes::new(py, &content.map_err(|error| os_error(&error))?))
    }

    /// The keys of a bucket that begin with `prefix`, in order.
    fn keys(&self, bucket: &str, prefix: &str) -> PyResult<Vec<String>> {
        self.running()?.0.keys(bucket, prefix).map_err(|error| os_error(&error))
    }

    /// Stops the storage, in 3 s at most. Does nothing the second time.
    fn shutdown(&self, py: Python<'_>) {
        self.hosted.shutdown(py);
    }
}

impl LocalS3 {
    fn running(&self) -> PyResult<(Arc<dev::LocalS3>, Handle)> {
        self.hosted.running()
    }
}

fn start(settings: S3Settings) -> Result<LocalS3, String> {
    let begin = move || async {
        let started = dev::LocalS3::start(settings).await;
        started.map_err(|error| format!("the storage cannot be started: {error}"))
    };
    let (hosted, storage) =
        Hosted::start("storage", begin, |storage| async move { storage.shutdown().await })?;
    Ok(LocalS3 { variables: storage.variables().into(), hosted })
}

fn os_error(error: &io::Error) -> PyErr {
    if error.kind() == io::ErrorKind::NotFound {
        PyFileNotFoundError::new_err(error.to_string())
    } else {
        PyOSError::new_err(error.to_string())
    }
}
