//! Changes that the next heartbeat should report.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::capacity::orchestrator_index::OrchestratorIndex;

/// Triggers heartbeats when something changes, for each orchestrator by itself. A change costs next to nothing, even many
/// times a second. A second instance triggers registrations when tasks are added.
#[derive(Debug)]
pub(crate) struct HeartbeatTrigger {
    /// For each orchestrator, the changes that it has not been told yet.
    bursts: Vec<watch::Sender<Option<Burst>>>,
}

/// The times of changes that no heartbeat has reported yet.
#[derive(Debug, Clone, Copy)]
struct Burst {
    first: Instant,
    last: Instant,
}

impl HeartbeatTrigger {
    /// Creates a trigger for this many orchestrators.
    pub(crate) fn new(orchestrators: usize) -> Self {
        Self { bursts: (0..orchestrators).map(|_| watch::Sender::default()).collect() }
    }

    /// Records a change that is worth a heartbeat.
    pub(crate) fn on_change(&self) {
        self.on_change_at(Instant::now());
    }

    /// Records a change at this time, which is now.
    pub(crate) fn on_change_at(&self, now: Instant) {
        for burst in &self.bursts {
            burst.send_if_modified(|burst| {
                // A waiter reads the time of the last change before it acts, so it is woken for the first one only.
                let is_first = burst.is_none();
                burst.get_or_insert(Burst { first: now, last: now }).last = now;
                is_first
            });
        }
    }

    /// Records that the heartbeat about to be sent to this orchestrator reports all changes until now.
    pub(crate) fn reported(&self, orchestrator: OrchestratorIndex) {
        self.bursts[orchestrator.0].send_replace(None);
    }

    /// Waits until a burst of changes is over: `delay` after its last change, or max(1 s, `delay`) after the first change
    /// of a burst that goes on.
    ///
    /// # Cancel safety
    /// Nothing is lost: changes that were not [`reported`](Self::reported) are still there for the next call.
    pub(crate) async fn settled(&self, orchestrator: OrchestratorIndex, delay: Duration) {
        let mut bursts = self.bursts[orchestrator.0].subscribe();
        let max_delay = delay.max(Duration::from_secs(1));
        // The sender lives as long as `self`.
        while let Ok(Some(burst)) = bursts.wait_for(Option::is_some).await.map(|burst| *burst) {
            let due = (burst.last + delay).min(burst.first + max_delay);
            if due <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(100);

    const FIRST: OrchestratorIndex = OrchestratorIndex(0);

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_reported_once_after_its_last_change() {
        let trigger = HeartbeatTrigger::new(1);
        let began = Instant::now();
        let burst = async {
            for _ in 0..5 {
                trigger.on_change();
                tokio::time::sleep(DELAY / 2).await;
            }
        };
        let ((), ()) = tokio::join!(burst, trigger.settled(FIRST, DELAY));
        let took = began.elapsed();
        assert!((DELAY * 3..DELAY * 4).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_that_never_ends_is_reported_every_second() {
        let trigger = HeartbeatTrigger::new(1);
        let began = Instant::now();
        tokio::select! {
            () = trigger.settled(FIRST, DELAY) => {}
            () = async { loop { trigger.on_change(); tokio::time::sleep(DELAY / 10).await; } } => {}
        }
        let took = began.elapsed();
        assert!((Duration::from_secs(1)..Duration::from_millis(1100)).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn changes_reported_to_one_orchestrator_are_still_new_to_the_others() {
        let trigger = HeartbeatTrigger::new(2);
        trigger.on_change();
        trigger.reported(FIRST);
        trigger.settled(OrchestratorIndex(1), DELAY).await;
    }

    #[tokio::test(start_paused = true)]
    async fn reported_changes_trigger_nothing_more() {
        let trigger = HeartbeatTrigger::new(1);
        trigger.on_change();
        trigger.settled(FIRST, DELAY).await;
        trigger.reported(FIRST);
        let waited = tokio::time::timeout(DELAY * 100, trigger.settled(FIRST, DELAY)).await;
        assert!(waited.is_err(), "nothing new happened");
    }
}
