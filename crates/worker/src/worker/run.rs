//! The run of a worker: everything is started here, in order.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use rxon::TaskId;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::capacity::disk::lowest;
use crate::delivery::{Spool, distribute};
use crate::health;
use crate::session::{ConversationParts, Driver, Pollers};
use crate::threads::control::{ControlTask, ControlThread, restarting};
use crate::worker::assembly::{Assembly, EndAll};
use crate::worker::ending::Ending;
use crate::worker::error::Error;
use crate::worker::handle::HandleState;
use crate::worker::hooks::Hooks;
use crate::worker::shutdown::Stopped;
use crate::worker::signals::Incoming;

/// Shutdown hooks may take at least this long, however much of the shutdown timeout is used up.
const MIN_HOOK_TIME: Duration = Duration::from_secs(1);

/// Results of an earlier run wait this long for the registration with their orchestrator, which never happens while the
/// orchestrator is on standby.
const REGISTRATION_PATIENCE: Duration = Duration::from_secs(10);

/// Runs a worker until it was told to stop and everything has ended.
pub(crate) async fn run(
    assembly: Assembly,
    mut hooks: Hooks,
    handle_state: Arc<HandleState>,
    incoming: Incoming,
    listener: Option<TcpListener>,
) -> Result<Stopped, Error> {
    let Incoming { sender, mut signals, listening } = incoming;
    let assembly = Arc::new(assembly);
    // Ends everything when this future is dropped.
    let guard = EndAll(assembly.clone());
    let closing = &assembly.ends.closing;
    let mut from_handles = until_closing(closing, async move { match handle_state.forward(sender).await {} });
    let prepared = async {
        let spool = open_spool(&assembly).await?;
        hooks.start_up().await.map_err(Error::Startup)?;
        Ok::<_, Error>(spool)
    };
    let spool = tokio::select! {
        biased;
        spool = prepared => spool?,
        Some(cause) = signals.recv() => {
            tracing::info!(%cause, "the worker ends before its start-up hooks have");
            return Ok(assembly.stopped(cause, Vec::new()));
        }
        () = &mut from_handles => unreachable!("nothing is closing yet"),
    };
    let executor = &assembly.executor;
    executor.files.remove_leftovers().await;
    release(&assembly);
    if assembly.offer.catalogue.count() == 0 {
        tracing::warn!("no task is registered: the worker is `busy` until one is added");
    }
    let mut control = vec![from_handles];
    for parts in &assembly.conversations {
        let parts = parts.clone();
        control.push(restarting("conversation", move || Driver::new(parts.clone()).run()));
    }
    if let Some(listener) = listener {
        control.push(Box::pin(health::serve(listener, assembly.health.clone(), closing.clone())));
    }
    control.push(disk_watch(assembly.clone()));
    let pollers = TaskTracker::new();
    let ending = Ending::new(assembly.clone(), pollers.clone());
    let (tell, ended) = oneshot::channel();
    control.push(until_closing(closing, async move {
        // The receiver is gone when the worker was dropped.
        let _ = tell.send(ending.run(signals).await);
    }));
    // The time of the start-up hooks does not count.
    let watchdog = &assembly.health.watchdog;
    watchdog.beat();
    control.push(Box::pin(assembly.health.clone().watch(executor.running.clone(), closing.clone())));
    let control = ControlThread::start(control).map_err(Error::ControlThread)?;
    for ConversationParts { session, offer, ends, .. } in assembly.conversations.iter().cloned() {
        let poller = Pollers::new(session, offer, executor.clone(), ends, assembly.settings.pollers);
        pollers.spawn(poller.supervise());
    }
    pollers.close();
    executor.tasks.close();
    assembly.senders.close();
    let ended = tokio::select! {
        ended = ended => ended,
        never = watchdog.keep_beating() => match never {},
        never = assembly.commands.obey() => match never {},
    };
    drop(guard);
    assembly.senders.wait().await;
    control.join().await;
    close_files(&assembly, spool).await;
    let left = assembly.settings.shutdown_timeout.saturating_sub(assembly.ends.drained_for());
    hooks.shut_down(left.max(MIN_HOOK_TIME)).await;
    let stopped = ended.map_err(|_| Error::ControlThreadDied)?;
    log_end(&stopped);
    // From now on a signal ends the process.
    drop(listening);
    Ok(stopped)
}

/// Drops a task of the control path when the worker closes.
fn until_closing(
    closing: &CancellationToken,
    task: impl Future<Output = ()> + Send + 'static,
) -> ControlTask {
    let closing = closing.clone();
    Box::pin(async move {
        closing.run_until_cancelled_owned(task).await;
    })
}

/// Looks at the disks of the worker's folders until it closes.
fn disk_watch(assembly: Arc<Assembly>) -> ControlTask {
    restarting("disks", move || {
        let assembly = assembly.clone();
        async move {
            let folders = assembly.settings.watched_folders.clone();
            assembly
                .offer
                .disk
                .watch(folders, &assembly.executor.heartbeat_trigger, &assembly.ends.closing, lowest)
                .await;
        }
    })
}

/// Closes the file of results, and removes the directories of tasks.
async fn close_files(assembly: &Assembly, spool: Option<Arc<Spool>>) {
    if let Some(spool) = spool {
        spool.close().await;
    }
    for delivery in assembly.deliveries() {
        delivery.drop_belongings();
    }
    assembly.executor.files.close().await;
}

/// Opens the file of results, if `WORKER_OUTBOX_DIR` is set, and hands its results to their orchestrators' deliveries.
async fn open_spool(assembly: &Assembly) -> Result<Option<Arc<Spool>>, Error> {
    let Some(folder) = assembly.settings.outbox_dir.clone() else { return Ok(None) };
    let opened = Spool::open(folder, &assembly.executor.worker_id).await;
    let opened = opened.map_err(|(file, error)| Error::Outbox {
        file: file.display().to_string(),
        source: Box::new(error),
    })?;
    let deliveries: Vec<_> = assembly.deliveries().cloned().collect();
    Ok(Some(distribute(opened, &deliveries, assembly.settings.result_max_age)))
}

/// Sends results of an earlier run as soon as their orchestrators know the worker.
fn release(assembly: &Assembly) {
    for origin in assembly.origins().filter(|origin| origin.delivery.unacknowledged() > 0) {
        let (closing, origin) = (assembly.ends.closing.clone(), origin.clone());
        assembly.senders.spawn(async move {
            tokio::select! {
                () = closing.cancelled() => {}
                () = origin.peer.until_registered() => {}
                () = tokio::time::sleep(REGISTRATION_PATIENCE) => {}
            }
            origin.delivery.release();
        });
    }
}

fn log_end(stopped: &Stopped) {
    let Stopped { cause, cancelled, unacknowledged: lost, kept } = stopped;
    let ids = |ids: &[TaskId]| ids.iter().map(|id| id.shown().to_string()).collect::<Vec<_>>().join(", ");
    if !lost.is_empty() {
        let task_ids = ids(lost);
        tracing::error!(count = lost.len(), task_ids, "results were not acknowledged and are lost");
    }
    if !kept.is_empty() {
        tracing::warn!(
            count = kept.len(),
            task_ids = ids(kept),
            "results were not acknowledged: they are on disk, and offered again by the next worker with this id"
        );
    }
    if !cancelled.is_empty() {
        let task_ids = ids(cancelled);
        tracing::warn!(count = cancelled.len(), task_ids, "tasks were cancelled by the shutdown");
    }
    tracing::info!(%cause, clean = stopped.is_clean(), "the worker has stopped");
}
