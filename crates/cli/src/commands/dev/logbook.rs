//! Lines of workers, kept by the orchestrator as logs.

use avtomatika_dev::DevOrchestrator;

use super::lines::Source;

/// Keeps a line that a worker wrote.
pub(super) fn keep(_orchestrator: &DevOrchestrator, _worker_id: &str, _source: Source, _line: &[u8]) {}
