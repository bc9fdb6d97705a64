//! RXON: the messages between a worker and an Avtomatika orchestrator, and their transports.
//!
//! - [`model`]: the messages. One set serves both generations of the protocol, 1.0b2 and 1.0b17.
//! - [`signing`]: canonical bytes, HMAC-SHA256 signatures, and the seal on every message that a worker sends.
//! - [`id`]: identifiers, each with a type of its own, so that a task id is never mistaken for a job id.
//! - [`transport`]: the contract of every transport, with an in-process and an HTTP/1.1 implementation.
//! - [`secrets`]: the registry of secrets that are never shown, and texts with secrets masked.
//! - [`text`]: excerpts of foreign text for messages and logs.
//! - [`json`]: JSON as Python writes it.
//! - [`limit`]: time limits that count only time in which the process ran.
//! - [`backoff`]: pure schedules of retries, and `Retry-After`.
//! - [`descriptors`]: the registry of descriptors that forked processes must not keep.
//!
//! # Example
//!
//! ```
//! use rxon::model::Task;
//!
//! let body = br#"{"job_id":"j-1","task_id":"t-1","type":"resize_image","params":{"width":64}}"#;
//! let task = Task::parse(body).expect("a valid task");
//! assert_eq!(task.name.as_str(), "resize_image");
//! assert_eq!(task.params.get(), r#"{"width":64}"#);
//! ```
//!
//! # Errors
//!
//! An exchange that fails ends in an [`Error`] with a [`kind`](Error::kind), which tells whether it may be retried, and
//! a [`progress`](Error::progress), which tells whether the other side may have processed the message.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `http` (default) | the HTTP/1.1 transport with TLS, proxies and time limits |
//! | `conformance` | checks that every transport has to pass |
#![deny(missing_docs)]

pub mod backoff;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod descriptors;
mod error;
pub mod id;
pub mod json;
pub mod limit;
pub mod model;
pub mod secrets;
pub mod signing;
pub mod text;
pub mod transport;

pub use error::{Error, ErrorChain, ErrorKind, ExchangeProgress};
pub use id::{JobId, TaskId, TaskName, WorkerId};
pub use model::VERSION;
