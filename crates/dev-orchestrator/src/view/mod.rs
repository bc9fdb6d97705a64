//! Tasks and workers as they are shown to people.

mod status;
mod task;
mod worker;

use std::sync::Arc;

use rxon::model::Failure;
use serde::{Serialize as _, Serializer};
use serde_json::value::RawValue;

pub use self::status::{TaskStatus, UnknownStatus};
pub use self::task::{JobView, StepView, TaskView, TryView};
pub use self::worker::{Machine, SkillView, Slots, WorkerView};

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
pub(crate) fn raw<S: Serializer>(value: &Option<Arc<RawValue>>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_deref().serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn shared<S: Serializer>(value: &Option<Arc<Failure>>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_deref().serialize(serializer)
}
