//! Directories and the storage outside of a worker.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use avtomatika_worker::WorkerConfig;
use avtomatika_worker::files::{FileMetadata, StandaloneFiles};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::value::RawValue;
use tokio::runtime::{Handle, Runtime};

use crate::config::Config;
use crate::error::unexpected;
use crate::files::{Metadata, TaskFiles, metadata, path, raised};

/// The runtime of transfers outside of a worker, and the process that started it.
static RUNTIME: Mutex<Option<(u32, Runtime)>> = Mutex::new(None);

/// Directories and the storage of a configuration. Every method may block, and releases Python's lock meanwhile. It must
/// not be used in a forked process.
#[pyclass(frozen, module = "avtomatika_worker._native")]
pub(crate) struct Standalone {
    files: StandaloneFiles,
    runtime: Handle,
}

#[pymethods]
impl Standalone {
    /// Without a configuration there is no storage.
    #[new]
    fn new(py: Python<'_>, config: Option<&Bound<'_, Config>>) -> PyResult<Self> {
        let config = config.map_or_else(WorkerConfig::defaults, |config| config.get().current());
        let runtime =
            runtime().map_err(|error| unexpected("the threads for files cannot be started", error))?;
        let made = py.detach(|| {
            let _entered = runtime.enter();
            StandaloneFiles::new(&config)
        });
        match made {
            Ok(files) => Ok(Self { files, runtime }),
            Err(error) => {
                let problems: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
                let errors = py.import("avtomatika_worker.errors")?;
                Err(PyErr::from_value(errors.getattr("ConfigError")?.call1((problems,))?))
            }
        }
    }

    /// Whether there is a storage.
    #[getter]
    fn has_storage(&self) -> bool {
        self.files.has_storage()
    }

    /// The files in a directory. The keys of uploads begin with `key_prefix`.
    fn directory(&self, path: &str, key_prefix: &str) -> TaskFiles {
        TaskFiles::new(self.files.directory(path, key_prefix).blocking())
    }

    /// The files in a directory, without following a symbolic link in its place. Only its user may read it, if it is made.
    fn private_directory(&self, path: &str, key_prefix: &str) -> TaskFiles {
        TaskFiles::new(self.files.private_directory(path, key_prefix).blocking())
    }

    /// The path of the directory of a task.
    fn path_of_task(&self, py: Python<'_>, task_id: &str) -> PyResult<String> {
        path(py, Ok(self.files.path_of_task(task_id)))
    }

    /// Fetches the objects at the addresses in parameters, a JSON text, and returns the parameters with paths. `metadata`
    /// is JSON text, too.
    fn fetch_inputs<'py>(
        &self,
        py: Python<'py>,
        task_id: &str,
        params: &[u8],
        metadata: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let wrong = |error: serde_json::Error| PyValueError::new_err(error.to_string());
        let params: Box<RawValue> = serde_json::from_slice(params).map_err(wrong)?;
        let metadata: BTreeMap<String, FileMetadata> = serde_json::from_slice(metadata).map_err(wrong)?;
        let fetched =
            py.detach(|| self.runtime.block_on(self.files.fetch_inputs(task_id, params, &metadata)));
        let params = fetched.map_err(|error| raised(py, &error))?;
        Ok(PyBytes::new(py, params.get().as_bytes()))
    }

    /// Uploads a file to an address.
    fn upload(&self, py: Python<'_>, path: &str, uri: &str) -> PyResult<Metadata> {
        metadata(py, py.detach(|| self.runtime.block_on(self.files.upload(path, uri))))
    }

    /// The metadata of an object, if it exists.
    fn metadata(&self, py: Python<'_>, uri: &str) -> PyResult<Option<Metadata>> {
        let found = py.detach(|| self.runtime.block_on(self.files.metadata(uri)));
        found.transpose().map(|found| metadata(py, found)).transpose()
    }

    /// Deletes an object, or all objects below an address that ends in `/`.
    fn delete(&self, py: Python<'_>, uri: &str) -> PyResult<()> {
        py.detach(|| self.runtime.block_on(self.files.delete(uri))).map_err(|error| raised(py, &error))
    }
}

/// The runtime of this process.
fn runtime() -> std::io::Result<Handle> {
    let mut known = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some((owner, runtime)) = &*known
        && *owner == process
    {
        return Ok(runtime.handle().clone());
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).thread_name("avtomatika-files").enable_all().build()?;
    let handle = runtime.handle().clone();
    // The threads of another process are not here, and cannot be waited for.
    std::mem::forget(known.replace((process, runtime)));
    Ok(handle)
}
