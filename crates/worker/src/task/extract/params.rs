//! The task's parameters.

use serde::de::DeserializeOwned;

use super::argument::FromTaskParts;
use super::rejection::Rejection;
use super::request::TaskParts;
use crate::files::read_for_task;

/// The parameters, deserialised. Unknown fields are ignored unless the type denies them.
///
/// Parameters that do not fit end the task with `INVALID_INPUT_ERROR`, with a message for people and the path of the
/// problem in `details`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[doc(alias("arguments", "body", "input", "kwargs", "payload"))]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned + Send, S: Sync> FromTaskParts<S> for Params<T> {
    type Rejection = Rejection;

    async fn from_task_parts(parts: &mut TaskParts, _state: &S) -> Result<Self, Rejection> {
        let mut deserializer = serde_json::Deserializer::from_str(parts.params.get());
        let read =
            read_for_task(parts.context.files(), || serde_path_to_error::deserialize(&mut deserializer));
        read.map(Params).map_err(|error| {
            Rejection::problems([(error.path().to_string(), without_position(error.inner()))])
        })
    }
}

/// Removes the position in the text, which is of no use to a reader who sees the parameters as an object.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(position) => text[..position].to_owned(),
        None => text,
    }
}
