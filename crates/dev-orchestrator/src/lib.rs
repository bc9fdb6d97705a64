//! An embedded Avtomatika orchestrator for development and tests: one process, in memory.
//!
//! - Serves the worker side of the protocol, generation 1.0b17; workers of 1.0b2 get along with it too.
//! - Holds polls until there is a task, and hands each task to one worker that accepts it now.
//! - Tries tasks again after transient failures, past their deadline, and when their worker fell silent.
//! - Has a small JSON API for people, and the same as methods for the process it runs in.
//! - Has a local S3 beside it, so that tasks can have files: [`LocalS3`], which can be had alone, too.
//! - Forgets everything when it ends. It is no place for tasks that matter.
//!
//! # Example
//!
//! ```
//! use avtomatika_dev::{DevOrchestrator, NewTask, Settings, TaskStatus};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let orchestrator = DevOrchestrator::start(Settings::new()).await?;
//! println!("ORCHESTRATOR_URL={}", orchestrator.url());
//!
//! let task = NewTask::new("resize_image").with_params(serde_json::json!({"width": 640}));
//! let submitted = orchestrator.submit(task)?;
//! // With a worker connected, `wait` would give the result.
//! orchestrator.cancel(&submitted.job_id)?;
//! let view = orchestrator.wait(&submitted.job_id).await?;
//! assert_eq!(view.status, TaskStatus::Cancelled);
//! orchestrator.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # The JSON API
//!
//! ```text
//! url=http://127.0.0.1:8080
//! json='Content-Type: application/json'
//!
//! # Submit a task; `params`, `priority` and `timeout` (seconds) may be left out.
//! curl $url/api/tasks -H "$json" -d '{"type": "resize_image", "params": {"width": 640}, "priority": 5, "timeout": 60}'
//! # 202 {"job_id": "job-5f3a91c2-1", "task_id": "task-5f3a91c2-1-1", "status": "queued"}
//!
//! # One task, by either id, with its parameters, progress, data and error.
//! curl $url/api/tasks/job-5f3a91c2-1
//!
//! # The newest tasks, without parameters and data.
//! curl "$url/api/tasks?status=running&limit=20"
//!
//! # Cancel: at once while it waits; one that runs is stopped by its worker. 409 when it has ended.
//! curl -X POST $url/api/tasks/job-5f3a91c2-1/cancel -H "$json"
//!
//! # Who is there, what they accept and what they are busy with.
//! curl $url/api/workers
//! curl $url/api/health
//! ```
//!
//! The job id stays the same for the life of a task; every try has a task id of its own. Times are seconds since
//! 1970. Everything that is wrong is answered with `{"error": text}`, which names the value and what was expected.
//!
//! Web pages of others are kept out: `POST` requires `Content-Type: application/json`, which a browser sends to
//! another site only with that site's leave, and `Host` has to be `localhost`, a loopback address, the address
//! it listens on, or a name given to [`Settings::with_allowed_host`]. Workers that know the token
//! ([`Settings::with_token`]) may use any name.
//!
//! # What it does differently from the real orchestrators
//!
//! | | here | avtomatika 1.0b30 |
//! |---|---|---|
//! | nobody accepts the task now | it waits | quarantined within a second |
//! | a poll is let go by its worker | forgotten at once, no task is lost | swallows the next task |
//! | heartbeat with a body of a stranger | JSON `null`: register again | `{"status": "ok"}` |
//! | `?timeout=` of a poll | obeyed, up to [`Settings::with_poll_hold`] | ignored |
//! | `deadline` of a task | always sent; whole unless its timeout is not | a float, when a timeout was given |
//! | a running task is cancelled | named in the next heartbeat's answer | only when its job id is in `current_tasks` |
//! | messages without a signature | accepted, as older SDKs send none | refused |
//! | limits of requests per minute | none | 60 polls, 120 heartbeats |
//! | a status that is neither `success` nor `failure` | the task is finished | the blueprint decides |
//! | short-lived tokens, websockets, blueprints | none | served |
//!
//! Tasks are handed out as their worker's last heartbeat says: `status` `idle`, and the name in `available_skills`
//! (or `supported_tasks`); before the first heartbeat and without these lists, as its registration says. A worker that
//! dies takes its tasks with it until it is given up as silent, or, when it comes back under the same name, until
//! their timeout.
//!
//! # Limits
//!
//! All memory is bounded: waiting tasks, remembered ones, their bytes (see [`Settings`]), 10,000 workers with 1,000
//! task names each, 10,000 connections, 1,024 events for a [`Feed`] that is not read.
//!
//! # Errors and shutdown
//!
//! [`Error`] is what those who submit, wait and cancel get. [`DevOrchestrator::shutdown`] answers held polls,
//! closes connections, removes the files of the storage and joins every task within 4 s.
#![deny(missing_docs)]

mod auth;
mod clock;
mod connections;
mod error;
mod events;
mod hub;
mod jobs;
mod peer;
mod refusal;
mod routes;
mod s3;
mod server;
mod settings;
mod store;
mod task;
mod text;
mod view;

pub use error::Error;
pub use events::{Event, Feed};
pub use s3::{LocalS3, S3Settings};
pub use server::{DevOrchestrator, serve};
pub use settings::Settings;
pub use task::{Cancellation, NewTask, Submitted};
pub use view::{TaskStatus, TaskView, UnknownStatus, WorkerView};
