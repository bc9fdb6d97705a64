//! A worker's run: what is started, and in which order.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use rxon::TaskId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::capacity::disk;
use crate::core::Core;
use crate::delivery::{Delivery, Spool, distribute};
use crate::health;
use crate::health::pulse;
use crate::peer::answer::Exchange;
use crate::session::{Driver, Pollers, Polling, PollingSettings, Session};
use crate::threads::control::{ControlTask, ControlThread, restarting};
use crate::worker::assembly::Assembly;
use crate::worker::ending::{EndAll, Ending};
use crate::worker::error::Error;
use crate::worker::hooks::Hooks;
use crate::worker::shutdown::{StopCause, Stopped};

/// However long the rest of the end has taken, hooks may take this long.
const SHORTEST_SHUTDOWN: Duration = Duration::from_secs(1);

/// Results of an earlier run wait for so long for their orchestrator's registration. It may never come: one that stands
/// by is not registered with.
const REGISTRATION_PATIENCE: Duration = Duration::from_secs(10);

/// Runs a worker until it was told to stop and everything has ended. What `control` holds runs on the control path too.
pub(crate) async fn run(
    assembly: Assembly,
    mut hooks: Hooks,
    mut signals: mpsc::Receiver<StopCause>,
    mut control: Vec<ControlTask>,
    listener: Option<TcpListener>,
) -> Result<Stopped, Error> {
    let Assembly { core, sessions, ends, senders } = assembly;
    // Whatever becomes of this future, nothing goes on without it.
    let guard = EndAll { core: core.clone(), sessions: sessions.clone(), ends: ends.clone() };
    let prepared = async {
        let spool = open_spool(&core, &sessions).await?;
        hooks.start_up().await?;
        Ok::<_, Error>(spool)
    };
    let spool = tokio::select! {
        biased;
        spool = prepared => spool?,
        Some(cause) = signals.recv() => {
            tracing::info!(%cause, "the worker ends before its start-up hooks have");
            let kept = sessions.iter().flat_map(|session| session.delivery.left_over().1).collect();
            return Ok(Stopped { cause, cancelled: Vec::new(), unacknowledged: Vec::new(), kept });
        }
    };
    core.files.remove_leftovers().await;
    let deliveries: Vec<_> = sessions.iter().map(|session| session.delivery.clone()).collect();
    release(&core, &sessions, &senders);
    let conversations: Vec<_> = sessions.iter().map(|session| (session.clone(), ends.of_one())).collect();
    for (session, ends) in &conversations {
        let (core, session, ends) = (core.clone(), session.clone(), ends.clone());
        control.push(restarting("conversation", move || {
            Driver::new(core.clone(), session.clone(), ends.clone()).run()
        }));
    }
    if let Some(listener) = listener {
        control.push(Box::pin(health::serve(listener, core.clone(), sessions.clone())));
    }
    let watched = core.clone();
    control.push(restarting("disks", move || disk::watch(watched.clone())));
    let pollers = TaskTracker::new();
    let ending = Ending { core: core.clone(), sessions, ends, pollers: pollers.clone() };
    let (tell, ended) = oneshot::channel();
    control.push(Box::pin(async move {
        let stopped = ending.run(signals).await;
        // Nobody listens when the worker was dropped.
        let _ = tell.send(stopped);
    }));
    let (beat, watch) = pulse::pair(core.clone());
    control.push(Box::pin(watch));
    let control = ControlThread::start(control).map_err(Error::ControlThread)?;
    for (session, ends) in conversations {
        let settings = PollingSettings {
            max_pollers: core.config.worker_max_pollers,
            error_delay: core.config.task_poll_error_delay,
            idle_delay: core.config.idle_poll_delay,
        };
        let gate = session.peer.gate(Exchange::Poll).clone();
        let polling = Polling::new(settings, gate, Rng::new());
        pollers.spawn(Pollers::new(core.clone(), session, ends, polling).supervise());
    }
    pollers.close();
    core.tasks.close();
    senders.close();
    let ended = tokio::select! {
        ended = ended => ended,
        never = beat => match never {},
        never = core.commands.obey() => match never {},
    };
    drop(guard);
    senders.wait().await;
    control.join().await;
    leave_nothing_open(&core, spool, &deliveries).await;
    let used = core.drain_began.get().map_or(Duration::ZERO, Instant::elapsed);
    hooks.shut_down(core.config.worker_shutdown_timeout.saturating_sub(used).max(SHORTEST_SHUTDOWN)).await;
    let stopped = ended.ok().flatten().ok_or(Error::ControlThreadDied)?;
    say_how_it_ended(&stopped);
    Ok(stopped)
}

/// Closes the file of results, and removes what belonged to tasks.
async fn leave_nothing_open(core: &Core, spool: Option<Arc<Spool>>, deliveries: &[Arc<Delivery>]) {
    if let Some(spool) = spool {
        spool.close().await;
    }
    for delivery in deliveries {
        delivery.drop_belongings();
    }
    core.files.close().await;
}

/// Opens the file of results, where there is to be one, and hands out what is in it.
async fn open_spool(core: &Core, sessions: &[Arc<Session>]) -> Result<Option<Arc<Spool>>, Error> {
    let Some(folder) = core.config.worker_outbox_dir.clone() else { return Ok(None) };
    let opened = Spool::open(folder, &core.worker_id).await;
    let opened = opened.map_err(|(file, error)| Error::Outbox {
        file: file.display().to_string(),
        source: Box::new(error),
    })?;
    let deliveries: Vec<Arc<Delivery>> = sessions.iter().map(|session| session.delivery.clone()).collect();
    Ok(Some(distribute(opened, &deliveries, core.config.worker_result_max_age)))
}

/// Lets results of an earlier run go as soon as their orchestrators know the worker.
fn release(core: &Arc<Core>, sessions: &[Arc<Session>], senders: &TaskTracker) {
    for session in sessions.iter().filter(|session| session.delivery.unacknowledged() > 0) {
        let (core, session) = (core.clone(), session.clone());
        senders.spawn(async move {
            tokio::select! {
                () = core.closing.cancelled() => {}
                () = session.peer.until_registered() => {}
                () = tokio::time::sleep(REGISTRATION_PATIENCE) => {}
            }
            session.delivery.release();
        });
    }
}

fn say_how_it_ended(stopped: &Stopped) {
    let ids = |ids: &[TaskId]| ids.iter().map(TaskId::shown).collect::<Vec<_>>().join(", ");
    if !stopped.unacknowledged.is_empty() {
        let count = stopped.unacknowledged.len();
        tracing::error!(
            count,
            task_ids = ids(&stopped.unacknowledged),
            "results were not acknowledged and are lost"
        );
    }
    if !stopped.kept.is_empty() {
        let count = stopped.kept.len();
        tracing::warn!(
            count,
            task_ids = ids(&stopped.kept),
            "results were not acknowledged: they are on disk, and offered again by the next worker with this id"
        );
    }
    if !stopped.cancelled.is_empty() {
        let count = stopped.cancelled.len();
        tracing::warn!(count, task_ids = ids(&stopped.cancelled), "tasks were cancelled by the shutdown");
    }
    tracing::info!(cause = %stopped.cause, clean = stopped.is_clean(), "the worker has stopped");
}
