//! Extractors: the arguments a handler can ask for.
//!
//! | argument | value |
//! |---|---|
//! | [`Params<T>`] | the parameters, deserialised; wrong ones end the task with `INVALID_INPUT_ERROR` |
//! | [`RawParams`] | the parameters as JSON text, byte by byte as sent |
//! | [`State<T>`] | the worker's shared state, or a part of it |
//! | `Valid<Params<T>>` | the parameters, checked by [garde](https://docs.rs/garde); feature `garde` |
//! | [`Extension<T>`] | a value that middleware inserted |
//! | [`TaskContext`] | ids, priority, deadline, cancellation, progress, hot cache |
//! | [`TaskFiles`](crate::TaskFiles) | the task's files and the storage |
//! | [`TaskRequest`] | the whole task; last argument only |

mod argument;
mod extension;
mod params;
mod rejection;
mod request;
#[cfg(feature = "garde")]
mod valid;

pub use argument::{FromRef, FromTask, FromTaskParts, State, ViaParts, ViaTask};
pub use extension::Extension;
pub use params::Params;
pub use rejection::Rejection;
pub use request::{RawParams, TaskParts, TaskRequest};
#[cfg(feature = "garde")]
pub use valid::Valid;

pub use crate::task::context::{Outside, TaskContext};
