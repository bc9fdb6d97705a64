//! The local S3, in the process.

use std::io;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use avtomatika_dev as dev;
use dev::S3Settings;
use pyo3::exceptions::{PyFileNotFoundError, PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A storage for tests and development, on a thread of its own. It forgets everything when it ends.
#[pyclass(frozen, module = "avtomatika_worker._native")]
pub(crate) struct LocalS3 {
    running: Mutex<Option<Running>>,
    variables: Vec<(&'static str, String)>,
}

struct Running {
    storage: Arc<dev::LocalS3>,
    runtime: Handle,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

type Started = Result<(Arc<dev::LocalS3>, Handle), String>;

#[pymethods]
impl LocalS3 {
    /// Starts one on a free port, with these buckets besides its own.
    #[new]
    fn new(py: Python<'_>, buckets: Vec<String>) -> PyResult<Self> {
        let settings = buckets.into_iter().fold(S3Settings::new(), S3Settings::with_bucket);
        py.detach(|| start(settings)).map_err(PyOSError::new_err)
    }

    /// What a worker is told of it, by the names of options.
    #[getter]
    fn variables(&self) -> Vec<(&'static str, String)> {
        self.variables.clone()
    }

    /// Makes a bucket.
    fn create_bucket(&self, name: &str) -> PyResult<()> {
        self.running()?.0.create_bucket(name).map_err(|error| told(&error))
    }

    /// Puts an object into a bucket.
    fn put(&self, py: Python<'_>, bucket: &str, key: &str, content: Vec<u8>) -> PyResult<()> {
        let (storage, runtime) = self.running()?;
        py.detach(|| runtime.block_on(storage.put(bucket, key, content))).map_err(|error| told(&error))
    }

    /// An object's content.
    fn get<'py>(&self, py: Python<'py>, bucket: &str, key: &str) -> PyResult<Bound<'py, PyBytes>> {
        let (storage, runtime) = self.running()?;
        let content = py.detach(|| runtime.block_on(storage.get(bucket, key)));
        Ok(PyBytes::new(py, &content.map_err(|error| told(&error))?))
    }

    /// The keys of a bucket that begin with a text, in order.
    fn keys(&self, bucket: &str, prefix: &str) -> PyResult<Vec<String>> {
        self.running()?.0.keys(bucket, prefix).map_err(|error| told(&error))
    }

    /// Ends it, in 3 s at most. Does nothing the second time.
    fn shutdown(&self, py: Python<'_>) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { storage, runtime: _, stop, thread }) = running {
            drop(storage);
            let _ = stop.send(());
            py.detach(|| {
                let _ = thread.join();
            });
        }
    }
}

impl LocalS3 {
    fn running(&self) -> PyResult<(Arc<dev::LocalS3>, Handle)> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let running = running.as_ref().ok_or_else(|| PyRuntimeError::new_err("the storage was shut down"))?;
        Ok((running.storage.clone(), running.runtime.clone()))
    }
}

fn start(settings: S3Settings) -> Result<LocalS3, String> {
    let (tell, started) = mpsc::sync_channel::<Started>(1);
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("avtomatika-s3".to_owned())
        .spawn(move || serve(settings, &tell, stopped))
        .map_err(|error| error.to_string())?;
    let (storage, runtime) = started.recv().map_err(|error| error.to_string())??;
    let variables = storage.variables().into();
    Ok(LocalS3 { running: Mutex::new(Some(Running { storage, runtime, stop, thread })), variables })
}

fn serve(settings: S3Settings, tell: &mpsc::SyncSender<Started>, stopped: oneshot::Receiver<()>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = tell.send(Err(error.to_string()));
            return;
        }
    };
    runtime.block_on(async {
        let storage = match dev::LocalS3::start(settings).await {
            Ok(storage) => Arc::new(storage),
            Err(error) => {
                let _ = tell.send(Err(format!("the storage cannot be started: {error}")));
                return;
            }
        };
        let _ = tell.send(Ok((storage.clone(), Handle::current())));
        // Told to stop, or forgotten.
        let _ = stopped.await;
        // Where somebody still reads, it ends without being waited for.
        if let Some(storage) = Arc::into_inner(storage) {
            storage.shutdown().await;
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
}

fn told(error: &io::Error) -> PyErr {
    if error.kind() == io::ErrorKind::NotFound {
        PyFileNotFoundError::new_err(error.to_string())
    } else {
        PyOSError::new_err(error.to_string())
    }
}
