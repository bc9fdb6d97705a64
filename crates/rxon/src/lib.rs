//! RXON: the words a worker and an Avtomatika orchestrator exchange, and how they travel.
//!
//! - [`model`]: the messages. One set serves both generations of the protocol, 1.0b2 and 1.0b17.
//! - [`signing`]: canonical bytes, HMAC-SHA256 signatures, and the seal put on every message sent.
//! - [`id`]: identifiers, so that a task id is never taken for a job id.
//! - [`transport`]: the contract of everything that carries messages, with an in-process and an HTTP/1.1 one.
//! - [`secrets`]: which texts are never shown, and texts without them.
//! - [`backoff`]: pure schedules of retries, and `Retry-After`.
//!
//! # Example
//!
//! ```
//! use rxon::model::Task;
//!
//! let body = br#"{"job_id":"j-1","task_id":"t-1","type":"resize_image","params":{"width":64}}"#;
//! let task = Task::parse(body).expect("all fields are there");
//! assert_eq!(task.name.as_str(), "resize_image");
//! assert_eq!(task.params.get(), r#"{"width":64}"#);
//! ```
//!
//! # Errors
//!
//! Everything that can go wrong on the way is an [`Error`] with a [`kind`](Error::kind): it tells what may be
//! tried again, and whether the other side may have processed the message.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `http` (default) | the HTTP/1.1 transport with TLS, proxies and time limits |
//! | `conformance` | checks every transport has to pass |
#![deny(missing_docs)]

pub mod backoff;
pub mod blob;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
pub mod id;
pub mod model;
pub mod secrets;
pub mod signing;
pub mod transport;

pub use error::{Error, ErrorKind, Progress};
pub use id::{JobId, TaskId, TaskName, WorkerId};

/// The generation of the protocol that this crate speaks, as sent in the header `X-RXON-Version`.
pub const VERSION: &str = "1.0b17";
