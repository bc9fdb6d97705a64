//! Turns noted changes into events.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use super::pending::Changes;
use super::{Live, views};
use crate::clock::Now;
use crate::hub::Hub;

/// The number of states that are read at once, so that nobody waits long for the lock on them.
const CHUNK: usize = 100;

/// Writes events for changes until the shutdown.
pub(crate) async fn keep(hub: &Hub) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let mut told = None;
    loop {
        let due = write(hub).await;
        let turn = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = hub.stop.cancelled() => return,
            () = hub.live.noted.notified() => {}
            () = turn => {}
            _ = seconds.tick() => tell_seconds(hub, &mut told),
        }
    }
}

/// Writes events for the whole seconds since the last one, `told`.
fn tell_seconds(hub: &Hub, told: &mut Option<f64>) {
    let (now, seconds) = hub.update(|jobs, now| jobs.seconds(told.map_or(f64::MAX, |told| told + 1.0), now));
    // The seconds before the first call are not told.
    *told = Some(seconds.last().map_or_else(|| told.unwrap_or(now.floor() - 1.0), |second| second.at as f64));
    for second in &seconds {
        hub.live.stats(second);
    }
}

/// Writes events for the changes that may be told now. Returns the time of the next ones.
async fn write(hub: &Hub) -> Option<Instant> {
    let (changes, due) = {
        let mut state = hub.live.lock();
        let changes = state.pending.take(Now::read().instant);
        (changes, state.pending.next_due())
    };
    let Changes { too_many, gone, workers, tasks, progress } = changes;
    if too_many {
        hub.live.lock().record.interrupt();
        hub.live.news.send_replace(());
    }
    kept(hub).await;
    hub.live.append("worker_gone", gone.into_iter().map(|worker_id| json!({ "worker_id": worker_id })));
    for chunk in workers.chunks(CHUNK) {
        let read = |id| hub.inspect(|jobs, now| views::worker(jobs, id, now));
        let read: Vec<_> = chunk.iter().filter_map(read).collect();
        kept(hub).await;
        hub.live.append("worker", read.into_iter());
        tokio::task::yield_now().await;
    }
    for chunk in tasks.chunks(CHUNK) {
        let read =
            hub.inspect(|jobs, _| chunk.iter().filter_map(|id| views::task(jobs, id)).collect::<Vec<_>>());
        kept(hub).await;
        hub.live.append("task", read.into_iter());
        tokio::task::yield_now().await;
    }
    hub.live.append("progress", progress.into_iter());
    due
}

/// Waits until what was read is committed, so that no reader is told what a restart may forget; if that is not
/// possible, the readers are told all the same.
async fn kept(hub: &Hub) {
    if let Some(keeper) = &hub.keeper {
        let _ = hub.stop.run_until_cancelled(keeper.kept()).await;
    }
}

impl Live {
    /// Adds events to the record, and tells the readers.
    fn append<T: Serialize>(&self, name: &str, data: impl Iterator<Item = T>) {
        // Written before the lock is taken, which every change of a task needs.
        let texts: Vec<String> = data.filter_map(|data| serde_json::to_string(&data).ok()).collect();
        if texts.is_empty() {
            return;
        }
        let mut state = self.lock();
        for text in &texts {
            state.record.push(name, text);
        }
        drop(state);
        self.news.send_replace(());
    }
}
