//! A task on its way to its handler.

use std::fmt;

use http::Extensions;
use serde_json::value::RawValue;

use crate::task::context::TaskContext;

/// A task on its way to its handler.
#[derive(Debug)]
pub struct TaskRequest {
    pub(crate) parts: TaskParts,
}

/// The parts of a task that every extractor can read.
pub struct TaskParts {
    /// The parameters, byte by byte as sent.
    pub params: Box<RawValue>,
    /// The task's context.
    pub context: TaskContext,
    /// The values that middleware inserted for handlers, by type: handlers ask for them by
    /// [`Extension<T>`](crate::Extension).
    pub extensions: Extensions,
}

impl fmt::Debug for TaskParts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TaskParts").field("context", &self.context).finish_non_exhaustive()
    }
}

impl TaskRequest {
    pub(crate) fn new(params: Box<RawValue>, context: TaskContext) -> Self {
        Self { parts: TaskParts { params, context, extensions: Extensions::new() } }
    }

    /// The parts of the task.
    pub fn parts(&self) -> &TaskParts {
        &self.parts
    }

    /// The parts of the task, to be changed.
    pub fn parts_mut(&mut self) -> &mut TaskParts {
        &mut self.parts
    }

    /// The task's context: its ids, its name and everything else known about it.
    pub fn context(&self) -> &TaskContext {
        &self.parts.context
    }

    /// The values that middleware inserts for handlers, by type: handlers ask for them by
    /// [`Extension<T>`](crate::Extension).
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.parts.extensions
    }
}

/// The parameters as JSON text: an object, byte by byte as sent.
#[derive(Debug, Clone)]
pub struct RawParams(pub Box<RawValue>);
