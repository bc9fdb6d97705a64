//! The task's files.

use std::convert::Infallible;

use super::argument::FromTaskParts;
use super::request::TaskParts;
use crate::files::{BlockingTaskFiles, TaskFiles};

impl<S: Sync> FromTaskParts<S> for TaskFiles {
    type Rejection = Infallible;

    async fn from_task_parts(parts: &mut TaskParts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.context.files().clone())
    }
}

impl<S: Sync> FromTaskParts<S> for BlockingTaskFiles {
    type Rejection = Infallible;

    async fn from_task_parts(parts: &mut TaskParts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.context.files().blocking())
    }
}
