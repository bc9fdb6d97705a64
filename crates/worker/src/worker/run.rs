//! The run of a worker: everything is started here, in order.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rxon::{TaskId, WorkerId};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::capacity::Offer;
use crate::delivery::{Delivery, Spool, distribute};
use crate::execution::Executor;
use crate::files::Files;
use crate::health;
use crate::session::{ConversationParts, Driver, Ends, Pollers, Session};
use crate::threads::control::{ControlTask, ControlThread, restarting};
use crate::worker::assembly::{Assembly, RunSettings};
use crate::worker::ending::{EndAll, Ending};
use crate::worker::error::Error;
use crate::worker::hooks::Hooks;
use crate::worker::shutdown::{StopCause, Stopped};

/// Shutdown hooks may take at least this long, however much of the shutdown timeout is used up.
const MIN_HOOK_TIME: Duration = Duration::from_secs(1);

/// Results of an earlier run wait this long for the registration with their orchestrator, which never happens while the
/// orchestrator is on standby.
const REGISTRATION_PATIENCE: Duration = Duration::from_secs(10);

/// Runs a worker until it was told to stop and everything has ended. The tasks in `control` run on the control path.
pub(crate) async fn run(
    assembly: Assembly,
    mut hooks: Hooks,
    mut signals: mpsc::Receiver<StopCause>,
    mut control: Vec<ControlTask>,
    listener: Option<TcpListener>,
) -> Result<Stopped, Error> {
    let sessions = assembly.sessions();
    let Assembly { offer, executor, commands, conversations, senders, ends, health, settings } = assembly;
    // Ends everything when this future is dropped.
    let guard = EndAll { running: executor.running.clone(), sessions: sessions.clone(), ends: ends.clone() };
    let prepared = async {
        let spool = open_spool(&settings, &executor.worker_id, &sessions).await?;
        hooks.start_up().await.map_err(Error::Startup)?;
        Ok::<_, Error>(spool)
    };
    let spool = tokio::select! {
        biased;
        spool = prepared => spool?,
        Some(cause) = signals.recv() => {
            tracing::info!(%cause, "the worker ends before its start-up hooks have");
            let kept = sessions.iter().flat_map(|session| session.origin.delivery.left_over().1).collect();
            return Ok(Stopped { cause, cancelled: Vec::new(), unacknowledged: Vec::new(), kept });
        }
    };
    executor.files.remove_leftovers().await;
    let deliveries: Vec<_> = sessions.iter().map(|session| session.origin.delivery.clone()).collect();
    release(&ends, &sessions, &senders);
    for parts in &conversations {
        let parts = parts.clone();
        control.push(restarting("conversation", move || Driver::new(parts.clone()).run()));
    }
    let closing = &ends.closing;
    if let Some(listener) = listener {
        control.push(Box::pin(health::serve(listener, health.clone(), closing.clone())));
    }
    control.push(disk_watch(&offer, &executor, settings.watched_folders, closing.clone()));
    let pollers = TaskTracker::new();
    let ending = Ending {
        offer: offer.clone(),
        executor: executor.clone(),
        sessions,
        ends: ends.clone(),
        pollers: pollers.clone(),
        settings: settings.shutdown,
    };
    let (tell, ended) = oneshot::channel();
    control.push(Box::pin(async move {
        let stopped = ending.run(signals).await;
        // The receiver is gone when the worker was dropped.
        let _ = tell.send(stopped);
    }));
    // The time of the start-up hooks does not count.
    health.watchdog.beat();
    control.push(Box::pin(health.watchdog.clone().watch(executor.running.clone(), closing.clone())));
    let control = ControlThread::start(control).map_err(Error::ControlThread)?;
    for ConversationParts { session, offer, ends, .. } in conversations {
        let poller = Pollers::new(session, offer, executor.clone(), ends, settings.pollers);
        pollers.spawn(poller.supervise());
    }
    pollers.close();
    executor.tasks.close();
    senders.close();
    let ended = tokio::select! {
        ended = ended => ended,
        never = health.watchdog.keep_beating() => match never {},
        never = commands.obey() => match never {},
    };
    drop(guard);
    senders.wait().await;
    control.join().await;
    close_files(&executor.files, spool, &deliveries).await;
    let left = settings.shutdown.timeout.saturating_sub(ends.drained_for());
    hooks.shut_down(left.max(MIN_HOOK_TIME)).await;
    let stopped = ended.ok().flatten().ok_or(Error::ControlThreadDied)?;
    log_end(&stopped);
    Ok(stopped)
}

/// Looks at the disks of these folders until the worker closes.
fn disk_watch(
    offer: &Offer,
    executor: &Executor,
    folders: Vec<PathBuf>,
    closing: CancellationToken,
) -> ControlTask {
    let (disk, trigger) = (offer.disk.clone(), executor.heartbeat_trigger.clone());
    restarting("disks", move || {
        let (disk, folders, trigger, closing) =
            (disk.clone(), folders.clone(), trigger.clone(), closing.clone());
        async move { disk.watch(folders, &trigger, &closing).await }
    })
}

/// Closes the file of results, and removes the directories of tasks.
async fn close_files(files: &Files, spool: Option<Arc<Spool>>, deliveries: &[Arc<Delivery>]) {
    if let Some(spool) = spool {
        spool.close().await;
    }
    for delivery in deliveries {
        delivery.drop_belongings();
    }
    files.close().await;
}

/// Opens the file of results, if `WORKER_OUTBOX_DIR` is set, and hands its results to their orchestrators' deliveries.
async fn open_spool(
    settings: &RunSettings,
    worker_id: &WorkerId,
    sessions: &[Arc<Session>],
) -> Result<Option<Arc<Spool>>, Error> {
    let Some(folder) = settings.outbox_dir.clone() else { return Ok(None) };
    let opened = Spool::open(folder, worker_id).await;
    let opened = opened.map_err(|(file, error)| Error::Outbox {
        file: file.display().to_string(),
        source: Box::new(error),
    })?;
    let deliveries: Vec<Arc<Delivery>> =
        sessions.iter().map(|session| session.origin.delivery.clone()).collect();
    Ok(Some(distribute(opened, &deliveries, settings.result_max_age)))
}

/// Sends results of an earlier run as soon as their orchestrators know the worker.
fn release(ends: &Ends, sessions: &[Arc<Session>], senders: &TaskTracker) {
    for session in sessions.iter().filter(|session| session.origin.delivery.unacknowledged() > 0) {
        let (closing, session) = (ends.closing.clone(), session.clone());
        senders.spawn(async move {
            tokio::select! {
                () = closing.cancelled() => {}
                () = session.origin.peer.until_registered() => {}
                () = tokio::time::sleep(REGISTRATION_PATIENCE) => {}
            }
            session.origin.delivery.release();
        });
    }
}

fn log_end(stopped: &Stopped) {
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
