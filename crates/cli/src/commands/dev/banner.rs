//! The first lines of the server: its addresses, and what a worker in another terminal needs.

use avtomatika_dev::{DevOrchestrator, LocalS3, State};
use serde::Serialize;

use crate::output::{Printer, Style};
use crate::shell;

/// What the server tells about itself.
#[derive(Debug, Serialize)]
pub(super) struct Banner {
    url: String,
    page: String,
    storage: Option<Storage>,
    token: String,
    /// The directory that keeps the state.
    state: Option<String>,
    #[serde(skip)]
    variables: Vec<(&'static str, String)>,
}

#[derive(Debug, Serialize)]
struct Storage {
    endpoint: String,
    access_key: String,
    secret_key: String,
    bucket: String,
    region: String,
}

impl Banner {
    /// Describes an orchestrator.
    pub(super) fn of(orchestrator: &DevOrchestrator, token: &str, state: Option<&State>) -> Self {
        let url = orchestrator.url();
        let storage = orchestrator.storage();
        let mut variables = vec![("ORCHESTRATOR_URL", url.clone()), ("WORKER_TOKEN", token.to_owned())];
        variables.extend(storage.into_iter().flat_map(LocalS3::variables));
        let storage = storage.map(|storage| Storage {
            endpoint: storage.endpoint(),
            access_key: storage.access_key().to_owned(),
            secret_key: storage.secret_key().to_owned(),
            bucket: storage.bucket().to_owned(),
            region: storage.region().to_owned(),
        });
        let state = state.map(|state| state.path().to_string_lossy().into_owned());
        Self { page: format!("{url}/"), url, storage, token: token.to_owned(), state, variables }
    }

    /// The address of the page.
    pub(super) fn page(&self) -> &str {
        &self.page
    }

    /// The variables of a worker.
    pub(super) fn variables(&self) -> &[(&'static str, String)] {
        &self.variables
    }

    /// Prints it.
    pub(super) fn print(&self, printer: &Printer) -> anyhow::Result<()> {
        if printer.is_json() {
            return printer.json(self);
        }
        let paint = printer.data_paint();
        let storage = match &self.storage {
            Some(Storage { endpoint, bucket, .. }) => format!("{endpoint}, bucket {bucket}"),
            None => "none".to_owned(),
        };
        printer
            .data(paint.apply(Style::Bold, format_args!("avtomatika dev {}", env!("CARGO_PKG_VERSION"))))?;
        printer.data("")?;
        for (name, value) in [
            ("server", self.url.as_str()),
            ("page", &self.page),
            ("storage", &storage),
            ("state", self.state.as_deref().unwrap_or("in memory: everything is lost when this ends")),
        ] {
            let name = format!("{name:7}");
            printer.data(format_args!("  {}  {value}", paint.apply(Style::Dim, name)))?;
        }
        printer.data("\nA worker in another terminal needs:\n")?;
        for line in shell::exports(&self.variables) {
            printer.data(line)?;
        }
        printer.data("")
    }
}
