//! A worker's run: what is started, in which order, and how it is all ended.
//!
//! What is decided at the end is in [`shutdown`](crate::shutdown); here it is carried out.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use futures_util::stream::{BoxStream, StreamExt};
use rxon::TaskId;
use rxon::signing::Seal;
use rxon::transport::Connector;
use rxon::transport::http::{HttpConnector, HttpSettings, Token};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::capacity::Capacity;
use crate::changes::Changes;
use crate::config::{ConfigError, OrchestratorEntry, ShutdownPolls, wrong_token};
use crate::control::{ControlTask, ControlThread, restarting};
use crate::core::{Core, Running};
use crate::delivery::{Delivery, Outbox, OutboxSettings};
use crate::error::Error;
use crate::execution::{BlockingThreads, Cause};
use crate::health;
use crate::hot_cache::HotCache;
use crate::pace::until;
use crate::progress::ProgressBoard;
use crate::session::{Driver, Ends, Peer, Pollers, Polling, PollingSettings, Session};
use crate::shutdown::{Action, Event, Phase, Shutdown, StopCause, Stopped};
use crate::slots::Slots;
use crate::worker::Plan;

/// Even without time for tasks to finish, orchestrators are told.
const SHORTEST_DRAIN: Duration = Duration::from_millis(500);

/// How long cancelled tasks may take to be reported: a blocking handler's grace, and a little for its result.
const CANCEL_LIMIT: Duration = Duration::from_secs(8);

/// All parts of a worker, made but not started.
pub(crate) struct Assembly {
    pub(crate) core: Arc<Core>,
    sessions: Vec<Arc<Session>>,
    ends: Ends,
    senders: TaskTracker,
}

impl Assembly {
    /// Makes the parts. Reads certificates; connects to nothing.
    pub(crate) fn new(plan: Plan) -> Result<Self, Error> {
        plan.check()?;
        let (worker_id, worker_type, limit) = (plan.worker_id(), plan.worker_type(), plan.limit());
        let changes = Arc::new(Changes::default());
        let core = Arc::new(Core {
            worker_id,
            worker_type,
            capacity: Capacity::new(plan.capacity_checker, plan.router.names().cloned()),
            router: plan.router,
            skill_dependencies: plan.skill_dependencies,
            slots: Slots::new(limit, &plan.group_limits),
            threads: Arc::new(BlockingThreads::new(limit)),
            hot_cache: Arc::new(HotCache::new(changes.clone())),
            changes,
            running: Running::default(),
            tasks: TaskTracker::new(),
            draining: false.into(),
            closing: CancellationToken::new(),
            config: plan.config,
        });
        for warning in core.config.warnings() {
            tracing::warn!("{warning}");
        }
        let senders = TaskTracker::new();
        let entries = core.config.orchestrators();
        let sessions =
            entries.iter().map(|entry| session(&core, entry, &senders)).collect::<Result<_, _>>()?;
        let ends = Ends {
            stop_asking: CancellationToken::new(),
            let_go: CancellationToken::new(),
            await_polls: CancellationToken::new(),
        };
        Ok(Self { core, sessions, ends, senders })
    }
}

/// One orchestrator's session, of which nothing runs yet.
pub(crate) fn session(
    core: &Arc<Core>,
    entry: &OrchestratorEntry,
    senders: &TaskTracker,
) -> Result<Arc<Session>, Error> {
    let config = &core.config;
    // Both were checked with everything else; a file can have changed since.
    let token =
        Token::new(entry.token.expose()).map_err(|_| ConfigError::new(vec![wrong_token("WORKER_TOKEN")]))?;
    let settings = HttpSettings {
        url: entry.url.clone(),
        worker_id: core.worker_id.clone(),
        token,
        tls: config.tls(),
        proxies: config.proxies(),
        user_agent: concat!("avtomatika-worker/", env!("CARGO_PKG_VERSION")),
    };
    let connector: Arc<dyn Connector> = Arc::new(
        HttpConnector::new(settings).map_err(|error| ConfigError::new(vec![config.tls_problem(&error)]))?,
    );
    let seal = Seal::new(core.worker_id.clone(), entry.token.expose());
    let peer = Peer::new(entry.url.to_string().into(), connector, seal);
    let outbox = Outbox::new(
        OutboxSettings {
            quick_tries: u32::try_from(config.result_max_retries).unwrap_or(u32::MAX),
            first_delay: config.result_retry_initial_delay,
            max_age: config.worker_result_max_age,
            resend_ambiguous: config.result_resend_ambiguous,
        },
        Rng::new(),
    );
    let delivery = Delivery::new(peer.clone(), core.worker_id.clone(), outbox, senders.clone());
    Ok(Arc::new(Session { peer, delivery, progress: Arc::new(ProgressBoard::default()) }))
}

/// Runs a worker until a signal comes and everything has ended.
pub(crate) async fn run(
    assembly: Assembly,
    mut signals: BoxStream<'_, StopCause>,
    mut control: Vec<ControlTask>,
    listener: Option<TcpListener>,
) -> Result<Stopped, Error> {
    let Assembly { core, sessions, ends, senders } = assembly;
    // Whatever becomes of this future, nothing goes on without it.
    let guard = EndAll { core: core.clone(), sessions: sessions.clone(), ends: ends.clone() };
    for session in &sessions {
        let (core, session, ends) = (core.clone(), session.clone(), ends.clone());
        control.push(restarting("conversation", move || {
            Driver::new(core.clone(), session.clone(), ends.clone()).run()
        }));
    }
    if let Some(listener) = listener {
        control.push(Box::pin(health::serve(listener, core.clone(), sessions.clone())));
    }
    let control = ControlThread::start(control).map_err(Error::ControlThread)?;
    let pollers = TaskTracker::new();
    for session in &sessions {
        let settings = PollingSettings {
            max_pollers: core.config.worker_max_pollers,
            error_delay: core.config.task_poll_error_delay,
            idle_delay: core.config.idle_poll_delay,
        };
        let polling = Polling::new(settings, Rng::new());
        pollers.spawn(Pollers::new(core.clone(), session.clone(), ends.clone(), polling).supervise());
    }
    pollers.close();
    core.tasks.close();
    senders.close();
    let ending = Ending { core: &core, sessions: &sessions, ends: &ends, pollers: &pollers };
    let stopped = ending.run(&mut signals).await;
    drop(guard);
    senders.wait().await;
    control.join().await;
    say_how_it_ended(&stopped);
    Ok(stopped)
}

fn say_how_it_ended(stopped: &Stopped) {
    let ids = |ids: &[TaskId]| ids.iter().map(TaskId::as_str).collect::<Vec<_>>().join(", ");
    if !stopped.unacknowledged.is_empty() {
        let count = stopped.unacknowledged.len();
        tracing::error!(
            count,
            task_ids = ids(&stopped.unacknowledged),
            "results were not acknowledged and are lost"
        );
    }
    if !stopped.cancelled.is_empty() {
        let count = stopped.cancelled.len();
        tracing::warn!(count, task_ids = ids(&stopped.cancelled), "tasks were cancelled by the shutdown");
    }
    tracing::info!(cause = %stopped.cause, clean = stopped.is_clean(), "the worker has stopped");
}

/// Ends everything when it is dropped.
struct EndAll {
    core: Arc<Core>,
    sessions: Vec<Arc<Session>>,
    ends: Ends,
}

impl Drop for EndAll {
    fn drop(&mut self) {
        self.ends.stop_asking.cancel();
        self.ends.let_go.cancel();
        self.core.running.cancel_all(&Cause::Shutdown);
        self.core.closing.cancel();
        for session in &self.sessions {
            session.delivery.close();
        }
    }
}

/// Carries out the end of a worker.
struct Ending<'a> {
    core: &'a Arc<Core>,
    sessions: &'a [Arc<Session>],
    ends: &'a Ends,
    pollers: &'a TaskTracker,
}

impl Ending<'_> {
    async fn run(&self, signals: &mut BoxStream<'_, StopCause>) -> Stopped {
        let mut shutdown = Shutdown::new();
        let mut limit: Option<Instant> = None;
        let mut cancelled = Vec::new();
        let mut more_signals = true;
        while shutdown.phase() != Phase::Closed {
            let event = tokio::select! {
                biased;
                signal = signals.next(), if more_signals => {
                    let Some(cause) = signal else {
                        more_signals = false;
                        continue;
                    };
                    Event::Signal(cause)
                }
                () = self.all_done(shutdown.phase()) => Event::AllDone,
                () = until(limit) => Event::Limit { work_left: self.work_left() },
            };
            match shutdown.on_event(event) {
                Action::StopAsking => {
                    let timeout = self.core.config.worker_shutdown_timeout.max(SHORTEST_DRAIN);
                    limit = Some(Instant::now() + timeout);
                    self.stop_asking(shutdown.cause().unwrap_or(StopCause::Asked));
                }
                Action::Cancel => {
                    limit = Some(Instant::now() + CANCEL_LIMIT);
                    cancelled = self.cancel();
                }
                Action::Close | Action::Nothing => {}
            }
        }
        let unacknowledged =
            self.sessions.iter().flat_map(|session| session.delivery.unacknowledged_ids()).collect();
        Stopped { cause: shutdown.cause().unwrap_or(StopCause::Asked), cancelled, unacknowledged }
    }

    /// Phase 1: no further poll, and the orchestrators are told.
    fn stop_asking(&self, cause: StopCause) {
        let running = self.core.running.task_ids().len();
        tracing::info!(%cause, running, "shutting down: no further tasks are asked for, running ones may finish");
        let awaited = match self.core.config.worker_shutdown_polls {
            ShutdownPolls::Await => true,
            ShutdownPolls::Drop => false,
            // A successor with the same id would lose its first task to a poll that was abandoned.
            ShutdownPolls::Auto => cause == StopCause::Terminate && self.core.config.worker_id.is_some(),
        };
        if awaited {
            self.ends.await_polls.cancel();
        }
        self.core.draining.store(true, Ordering::Relaxed);
        self.ends.stop_asking.cancel();
        for session in self.sessions {
            // What waits for a later try is tried now: there may be no later.
            session.delivery.offer_all(false);
        }
    }

    /// Phase 2: what runs is told to stop, what waits is sent once.
    fn cancel(&self) -> Vec<TaskId> {
        let running = self.core.running.task_ids();
        tracing::warn!(
            running = running.len(),
            "cancelling what still runs, and sending every result once more"
        );
        self.ends.let_go.cancel();
        self.core.running.cancel_all(&Cause::Shutdown);
        for session in self.sessions {
            session.delivery.offer_all(true);
        }
        running
    }

    async fn all_done(&self, phase: Phase) {
        match phase {
            Phase::Running | Phase::Closed => std::future::pending().await,
            Phase::Draining => {
                for session in self.sessions {
                    session.peer.until_goodbye_told().await;
                }
                self.pollers.wait().await;
                self.core.tasks.wait().await;
            }
            // A handler that does not stop is not waited for, nor an orchestrator that does not take its results.
            Phase::Cancelling => {
                self.core.running.empty().await;
                for session in self.sessions {
                    session.delivery.all_tried().await;
                }
                return;
            }
        }
        for session in self.sessions {
            session.delivery.empty().await;
        }
    }

    fn work_left(&self) -> bool {
        !self.core.running.task_ids().is_empty()
            || self.sessions.iter().any(|session| session.delivery.unacknowledged() > 0)
    }
}
