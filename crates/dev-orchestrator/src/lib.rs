//! An embedded Avtomatika orchestrator for development and tests: one process, in memory unless told otherwise.
//!
//! - Serves the worker side of the protocol, generation 1.0b17; workers of 1.0b2 work with it, too.
//! - Holds polls until there is a task, and hands each task to one worker that accepts it at that time.
//! - Retries tasks after transient failures, after their deadline, and when their worker falls silent; each time after a
//!   longer delay.
//! - Tells workers with a websocket at once to stop a cancelled task.
//! - Has a small JSON API for people, and the same functions as methods for the process it runs in.
//! - Shows the last exchanges with workers, and has [`Fault`]s that can be switched on, with a verdict on how the workers
//!   came through them.
//! - Includes a local S3 for the files of tasks: [`LocalS3`], which can also be used alone.
//! - Loses everything when it ends, unless [`Settings::with_state`] keeps it. Do not use it for tasks that matter.
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
//! // With a worker connected, `wait` would return the result.
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
//! # Submit a task; `params`, `priority` and `timeout` (seconds) are optional. `"count": 3` submits it three times.
//! curl $url/api/tasks -H "$json" -d '{"type": "resize_image", "params": {"width": 640}, "priority": 5, "timeout": 60}'
//! # 202 {"job_id": "job-5f3a91c2-1", "task_id": "task-5f3a91c2-1-1", "status": "queued"}
//!
//! # Show one task, by job or task id, with its parameters, progress, data, error and earlier tries.
//! curl $url/api/tasks/job-5f3a91c2-1
//!
//! # Show what happened to it and when, with the durations of its phases.
//! curl $url/api/tasks/job-5f3a91c2-1/story
//!
//! # Write it as a test in `python` or `rust`, or as a command with `curl`.
//! curl "$url/api/tasks/job-5f3a91c2-1/test?lang=python"
//!
//! # List tasks, the newest first, without parameters and data: 100 unless `limit` (1 to 1000) says otherwise. `status`
//! # and `type` take several values, separated by commas; `worker` is an id; `q` is found, in any case, in ids, types,
//! # statuses, parameters, data and errors. `before` takes the `next` of the page before.
//! curl "$url/api/tasks?status=running,queued&type=resize_image&q=640&limit=20"
//!
//! # Cancel a task: a waiting one at once, a running one by its worker. The answer is 409 if it has ended.
//! curl -X POST $url/api/tasks/job-5f3a91c2-1/cancel -H "$json"
//!
//! # Submit a task that has ended again, as a new one. The answer is 409 if it has not ended.
//! curl $url/api/tasks/job-5f3a91c2-1/retry -H "$json" -d '{"params": {"width": 320}}'
//! # 202 {"task_id": "task-5f3a91c2-2-1", "job_id": "job-5f3a91c2-2", "of": "job-5f3a91c2-1"}
//!
//! # Cancel or retry many: by `ids` (10,000 at most), by `status`, by `type`; what is given has to hold together.
//! curl $url/api/tasks/cancel -H "$json" -d '{"status": "queued", "type": "resize_image"}'
//! # {"count": 2, "failed": []}
//! curl $url/api/tasks/retry -H "$json" -d '{"ids": ["job-5f3a91c2-1", "job-5f3a91c2-9"]}'
//! # {"count": 1, "failed": [{"id": "job-5f3a91c2-9", "error": "…"}], "tasks": [{"task_id", "job_id", "of"}]}
//!
//! # List the workers, the tasks they accept, and the tasks they run; show one, for an hour after it is gone, too.
//! curl $url/api/workers
//! curl $url/api/workers/worker-1
//!
//! # List the tasks that workers have registered, with their descriptions and schemas.
//! curl $url/api/skills
//!
//! # Show the figures of each second of the last hour, or since a time.
//! curl "$url/api/stats?since=1700000000"
//! curl $url/api/health
//!
//! # Show what a task has logged, and what a worker has logged without a task.
//! curl "$url/api/tasks/job-5f3a91c2-1/logs?after=0"
//! curl $url/api/workers/worker-1/logs
//!
//! # Follow all changes as they happen: a snapshot, then events.
//! curl --no-buffer $url/api/events
//!
//! # Store, read and list files of the local S3.
//! curl $url/api/files/avtomatika-payloads/photo.jpg --upload-file photo.jpg
//! curl $url/api/files/avtomatika-payloads/photo.jpg --output copy.jpg
//! curl "$url/api/files/avtomatika-payloads?prefix=photo"
//!
//! # The description of all routes, OpenAPI 3.1.
//! curl $url/api/openapi.json
//!
//! # Show the last exchanges with workers; `after`, `worker`, `operation`, `limit` and `format=har` are optional.
//! curl "$url/api/wire?worker=worker-1&operation=result"
//!
//! # Answer half of the requests of workers with errors for 10 s, and then show how they came through it.
//! curl -X PUT $url/api/faults -H "$json" -d '{"error_5xx": {"on": true, "rate": 0.5, "for": 10}}'
//! curl $url/api/faults
//! ```
//!
//! The job id stays the same for the life of a task; every try has a task id of its own. Times are in seconds since
//! 1970. Errors are answered with `{"error": text}`; the text names the value and the expected ones. Parameters and data
//! are passed on byte by byte: white space, the spelling of numbers, and members that stand twice stay as they are.
//!
//! The story of a task says `inputs_fetched` and `outputs_sent` when its worker reads or writes objects of the local S3
//! that the parameters name, or that are below the task id or the job id.
//!
//! Other web pages cannot use the API: changes require `Content-Type: application/json`, which a browser sends to
//! another site only with the permission of that site; that is never given, and a request with the `Origin` of another
//! site changes nothing. `Host` must be `localhost`, a loopback address, the address the orchestrator listens on, or a
//! name given to [`Settings::with_allowed_host`]; this holds for the page and the local S3, too. Workers that know the
//! token ([`Settings::with_token`]) may use any name. `GET /api/health` tells programs on this machine the variables of a
//! worker, the token and the storage's keys among them.
//!
//! # Logs
//!
//! A line belongs to a task if it is JSON with a `task_id`, as the loggers of this project write with `LOG_FORMAT=json`:
//! [`DevOrchestrator::log_line`] takes the lines that a worker has written. Any worker can send its log records with
//! OpenTelemetry over HTTP to `/v1/logs` (JSON or protobuf, also compressed with gzip); a record belongs to the task in
//! its attribute `task_id`, or that of its resource, else to the task of the span around it, which is sent to
//! `/v1/traces`. Lines of no task are kept for their worker. A message has at most 10,000 records; two are read at the
//! same time.
//!
//! # Differences from the real orchestrators
//!
//! | | here | avtomatika 1.0b30 |
//! |---|---|---|
//! | no worker accepts the task | the task waits | quarantined within a second |
//! | a worker abandons a poll | the poll is dropped at once, no task is lost | the poll swallows the next task |
//! | heartbeat with a body from an unknown worker | JSON `null`: register again | `{"status": "ok"}` |
//! | `?timeout=` of a poll | obeyed, up to [`Settings::with_poll_hold`] | ignored |
//! | `deadline` of a task | always sent; an integer unless the timeout is a fraction | a float, if a timeout was given |
//! | a running task is cancelled | told at once over the websocket; named in the answer to the next heartbeat | over the websocket, if a heartbeat announced it; named only if its job id is in `current_tasks` |
//! | a wrong token | 401 | 403 |
//! | messages without a signature | accepted, since older SDKs do not sign | refused |
//! | limits of requests per minute | none | 60 polls, 120 heartbeats |
//! | a status other than `success` and `failure` | the task is finished; in a job, the blueprint decides | the blueprint decides |
//! | short-lived tokens | not supported | supported |
//!
//! [`Settings::with_imitation`] does to workers what one of the real orchestrators does, where it differs.
//!
//! A worker gets a task if its last heartbeat had the `status` `idle` and the name of the task in `available_skills`
//! (or `supported_tasks`). Before the first heartbeat, and if a heartbeat has neither list, its registration counts.
//! The tasks of a worker that dies are retried when the worker has been silent for too long, or, if it comes back under
//! the same name, when their timeout is over.
//!
//! # Jobs of several steps
//!
//! A [`Blueprint`] is a small state machine whose states run tasks; [`NewTask::job`], or `{"job": NAME}` instead of `type`
//! in a submission, starts a job of one. It keeps its job id; each try of each step has a task id. The status of a result
//! decides which state follows; a failure that may pass is tried again within its state first. `GET /api/blueprints` lists
//! the blueprints.
//!
//! # The wire log
//!
//! `GET /api/wire` shows the last 10,000 exchanges with workers, frames of websockets included, each when it has ended:
//! with `after=n` those that follow the number `n`, otherwise the last ones. The first 64 KiB of each body are kept, also
//! of one that was refused, and everything within 64 MiB; older bodies are `null`, and exchanges with very large headers
//! may be fewer. Tokens, passwords and keys in headers, queries and members of JSON are
//! shown as `***`, and so are the token and the storage's keys wherever they stand. `format=har` is an archive that the
//! developer tools of browsers open.
//!
//! # Faults
//!
//! A [`Fault`] is switched on with [`DevOrchestrator::set_fault`], or with `PUT /api/faults`: for all workers or one, for
//! all requests or a share of them, until it is switched off or its time is over. Faults hit requests below `/_worker`
//! and those to the storage, never the JSON API. No fault loses a task: a task in an answer that was cut or replaced was
//! not delivered.
//!
//! After the end of a fault there is a [`FaultVerdict`]: as soon as every worker that was there at its start has had a
//! heartbeat, a poll, and the results that waited accepted; at the latest after 60 s, or 75 s for [`Fault::TooMany`].
//!
//! ```
//! # use avtomatika_dev::{DevOrchestrator, Fault, FaultSwitch, Settings};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let orchestrator = DevOrchestrator::start(Settings::new()).await?;
//! orchestrator.set_fault(Fault::Cut, FaultSwitch::on().with_rate(0.3))?;
//! // Meanwhile, tasks are submitted, and workers do their best.
//! orchestrator.set_fault(Fault::Cut, FaultSwitch::off())?;
//! let verdict = orchestrator.verdict(Fault::Cut).await.ok_or("it was on")?;
//! assert!(verdict.ok, "{}", verdict.text);
//! # Ok(())
//! # }
//! ```
//!
//! # Limits
//!
//! All memory is bounded: the number of unfinished and of ended tasks, their bytes (see [`Settings`]), the last 1,000
//! events of a story, 10,000 workers with 1,000 task names each, 10,000 names of tasks with 64 MiB of schemas, 10,000
//! connections, and 4,096 events for a [`Feed`] that is not read. A request that submits tasks has at most 16 MiB, a
//! worker's request at most 1 MiB; of those above 1 MiB, 8 are read at the same time. Of the log, 10,000
//! lines of each task and worker are kept, of at most 8 KiB each and 64 MiB in all; of the events for browsers the last
//! 10,000, 64 MiB at most. There are at most 256 readers of events. The wire log has 64 MiB.
//!
//! # Keeping the state
//!
//! With [`Settings::with_state`] tasks, stories, logs, the switches of faults, workers, and the files of the storage are
//! in a directory ([`State`]): an embedded database, and files whose names are numbers. What has changed is committed
//! before an answer says so, all changes at once that came meanwhile, so that nothing that was answered is lost when the
//! process is killed. Nothing waits for the disk: after a power failure the state may be older, or set aside as damaged.
//!
//! A task that was running goes on: its result counts. It is given up when its worker registers again, sends a heartbeat
//! without it, or is silent for [`Settings::with_worker_ttl`]; its result still counts until another worker has the task.
//! The wire log, the figures, and workers that are gone are not kept.
//!
//! # Errors and shutdown
//!
//! [`Error`] is the error of submitting, waiting, cancelling and retrying. [`DevOrchestrator::shutdown`] answers held polls,
//! closes connections and websockets, removes the files of the storage and joins every asynchronous task, within 4 s.
#![deny(missing_docs)]

mod auth;
mod blueprint;
mod clock;
mod connections;
mod error;
mod events;
mod faults;
mod host;
mod hub;
mod imitate;
mod jobs;
mod literal;
mod live;
mod logs;
mod otlp;
mod page;
mod pages;
mod peer;
mod persist;
mod refusal;
mod routes;
mod s3;
mod search;
mod server;
mod settings;
mod snippet;
mod stats;
mod store;
mod story;
mod task;
mod text;
mod view;
mod wire;

pub use blueprint::{Blueprint, BlueprintError};
pub use error::Error;
pub use events::{Event, Feed};
pub use faults::{Fault, FaultState, FaultSwitch, FaultVerdict, UnknownFault};
pub use imitate::{Imitation, UnknownImitation};
pub use logs::LogSource;
pub use persist::{SetAside, State, StateError};
pub use s3::{LocalS3, S3Settings};
pub use server::{DevOrchestrator, serve};
pub use settings::Settings;
pub use task::{Cancellation, NewTask, Submitted};
pub use view::{
    JobView, Machine, SkillView, Slots, StepView, TaskStatus, TaskView, TryView, UnknownStatus, WorkerView,
};
