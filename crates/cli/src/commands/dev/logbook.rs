//! Lines of workers, kept by the orchestrator as logs.

use avtomatika_dev::{DevOrchestrator, LogSource};

use super::lines::Source;

/// Keeps a line that a worker wrote.
pub(super) fn keep(orchestrator: &DevOrchestrator, worker_id: &str, source: Source, line: &[u8]) {
    let source = match source {
        Source::Stdout => LogSource::Stdout,
        Source::Stderr => LogSource::Stderr,
    };
    orchestrator.log_line(worker_id, source, line);
}
