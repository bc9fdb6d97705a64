//! Fixtures for tests of the worker against the real orchestrators: they start, drive and kill both.
//!
//! * [`Orchestrator`]: one of the two published orchestrators, in a process of its own. [`OrchestratorOptions`] changes
//!   its settings.
//! * [`Worker`]: the program `conformance_worker`, started as a user would start it.
//! * [`Drill`]: `avtomatika drill` on that program.
//! * [`Storage`]: an S3 storage with a bucket, our own or moto.
//! * [`Redis`]: the storage that several instances of an orchestrator share, and [`Balancer`]: one address for them all.
//! * [`Process`]: a child program, with the lines it prints.
//! * [`until`]: waits for a condition, with a time limit; nothing here sleeps for a fixed time.
//!
//! Every fixture panics with a sentence that names the problem: a panic here is a failed test.
#![expect(clippy::missing_panics_doc, reason = "fixtures: a panic is a failed test")]

mod balancer;
mod drill;
mod installation;
mod jobs;
mod orchestrator;
mod process;
mod redis;
mod requests;
mod storage;
mod version;
mod wait;
mod worker;

pub use balancer::Balancer;
pub use drill::Drill;
pub use installation::worker as worker_program;
pub use jobs::JobId;
pub use orchestrator::{Orchestrator, OrchestratorOptions, ServerTls};
pub use process::{Log, Process};
pub use redis::Redis;
pub use requests::Request;
pub use storage::{Storage, StorageKind};
pub use version::Version;
pub use wait::{LIMIT, until, within};
pub use worker::{Worker, WorkerOptions};
