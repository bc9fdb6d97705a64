//! The place of an orchestrator in the worker's list.

/// The place of an orchestrator in the worker's list, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OrchestratorIndex(pub(crate) usize);
