//! An embedded Avtomatika orchestrator for development and tests: one process, in memory.
#![deny(missing_docs)]

mod auth;
mod clock;
mod error;
mod events;
mod hub;
mod jobs;
mod refusal;
mod routes;
mod server;
mod settings;
mod store;
mod task;
mod text;
mod view;

pub use error::Error;
pub use events::{Event, Feed};
pub use server::{DevOrchestrator, serve};
pub use settings::Settings;
pub use task::{Cancellation, NewTask, Submitted};
pub use view::{TaskStatus, TaskView, UnknownStatus, WorkerView};
