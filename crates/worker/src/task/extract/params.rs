//! The task's parameters.

use std::borrow::Cow;

use rxon::json;
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
pub struct Params<T>(pub T);

impl<T: DeserializeOwned + Send, S: Sync> FromTaskParts<S> for Params<T> {
    type Rejection = Rejection;

    async fn from_task_parts(parts: &mut TaskParts, _state: &S) -> Result<Self, Rejection> {
        let text = parts.params.get();
        let read = read_for_task(parts.context.files(), || {
            read(text).or_else(|error| match json::mended(text.as_bytes()) {
                // A member stands twice, which is no reason to refuse the others.
                Some(mended) => read(&mended),
                None => Err(error),
            })
        });
        read.map(Params)
            .map_err(|error| Rejection::problems([(error.path().to_string(), problem(error.inner(), text))]))
    }
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, serde_path_to_error::Error<serde_json::Error>> {
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text))
}

/// The text of an error, without the position in the text, which is of no use to a reader who sees the parameters as an
/// object.
fn problem(error: &serde_json::Error, params: &str) -> String {
    let text = error.to_string();
    let text = text.rfind(" at line ").map_or(text.as_str(), |position| &text[..position]);
    if text == "number out of range" && matches!(json::restored(params), Cow::Owned(_)) {
        return "`NaN`, `Infinity` and `-Infinity` are not numbers here".to_owned();
    }
    text.to_owned()
}
