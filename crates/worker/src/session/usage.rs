//! The measurement of how busy the machine is: by the user's function, or by the worker itself.

use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use rxon::model::Usage;

use crate::session::machine::Telemetry;
use crate::threads::hook::Hook;
use crate::threads::lock;
use crate::threads::probe::{NoAnswer, Probe};

/// The user's function that measures how busy the machine is.
type UsageChecker = Hook<(), Option<Usage>>;

/// The time limit of the checker: a heartbeat waits no longer, and reports the last answer.
const LIMIT: Duration = Duration::from_millis(250);

/// Measures how busy the machine is.
#[derive(Debug, Default)]
pub(crate) struct UsageSource {
    pub(crate) machine: Telemetry,
    checker: Mutex<Option<Arc<Checker>>>,
}

/// The user's function, called so that it never delays the worker. One that never returns costs one thread, and is not
/// called again.
#[derive(Debug)]
struct Checker {
    check: UsageChecker,
    calls: Probe<Option<Usage>>,
    logged_panic: Arc<Once>,
    logged_slow: Once,
    logged_no_thread: Once,
    logged_number: Once,
}

impl UsageSource {
    /// Sets the user's function, or replaces it.
    pub(crate) fn set(&self, check: impl Fn() -> Option<Usage> + Send + Sync + 'static) {
        // Dropped without the lock: its captures are the user's.
        let _before = lock(&self.checker).replace(Arc::new(Checker::new(LIMIT, check)));
    }

    /// Measures the machine again.
    pub(crate) fn clear(&self) {
        let _before = lock(&self.checker).take();
    }

    /// Measures how busy the machine is, in at most 250 ms. `None` if that is not known.
    pub(crate) async fn usage(&self) -> Option<Usage> {
        let checker = lock(&self.checker).clone();
        match checker {
            Some(checker) => checker.usage().await,
            None => self.machine.usage().await,
        }
    }
}

impl Checker {
    fn new(limit: Duration, check: impl Fn() -> Option<Usage> + Send + Sync + 'static) -> Self {
        Self {
            check: Hook::new("usage_checker", move |()| check()),
            calls: Probe::new("avtomatika-usage", limit),
            logged_panic: Arc::new(Once::new()),
            logged_slow: Once::new(),
            logged_no_thread: Once::new(),
            logged_number: Once::new(),
        }
    }

    async fn usage(&self) -> Option<Usage> {
        let (check, logged) = (self.check.clone(), self.logged_panic.clone());
        let call = move || {
            check.call(&()).unwrap_or_else(|panicked| {
                logged.call_once(|| {
                    tracing::warn!(
                        "{panicked}; the heartbeat reports no usage, and this is not logged again"
                    );
                });
                None
            })
        };
        let usage = match self.calls.ask(call).await {
            Ok(usage) => usage,
            Err(no_answer) => {
                self.log(&no_answer);
                self.calls.last().flatten()
            }
        };
        usage.filter(|usage| self.is_sendable(usage))
    }

    fn log(&self, no_answer: &NoAnswer) {
        match no_answer {
            NoAnswer::Late => self.logged_slow.call_once(|| {
                tracing::warn!(
                    limit = ?LIMIT,
                    "`usage_checker` is slow: heartbeats no longer wait for it, and report its last answer"
                );
            }),
            NoAnswer::NoThread(error) => self.logged_no_thread.call_once(|| {
                tracing::warn!(%error, "no thread for `usage_checker`: its last answer counts");
            }),
            // The hook has logged it.
            NoAnswer::Panicked => {}
        }
    }

    /// An orchestrator would refuse the whole heartbeat for a number that JSON does not have.
    fn is_sendable(&self, usage: &Usage) -> bool {
        let loads = usage.devices_usage.iter().map(|device| device.load_percent);
        let wrong =
            [usage.cpu_load_percent, usage.ram_used_gb].into_iter().chain(loads).find(|one| !one.is_finite());
        if let Some(number) = wrong {
            self.logged_number.call_once(|| {
                tracing::warn!(
                    "`usage_checker` returned the number {number}, which cannot be sent: the heartbeat reports no usage, \
                     and this is not logged again"
                );
            });
        }
        wrong.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use testkit::capture::Logs;
    use tokio::time::Instant;

    use super::*;

    /// Longer than any of these tests.
    const LONG: Duration = Duration::from_secs(60);

    fn busy(load: f64) -> Usage {
        Usage { cpu_load_percent: load, ..Usage::default() }
    }

    #[tokio::test]
    async fn the_last_function_that_was_set_is_asked_instead_of_the_machine() {
        let source = UsageSource::default();
        source.set(|| Some(busy(11.0)));
        assert_eq!(source.usage().await, Some(busy(11.0)));
        source.set(|| None);
        assert_eq!(source.usage().await, None);
        assert_eq!(source.machine.memory(), None, "it was not measured");
        source.clear();
        assert!(source.usage().await.is_some_and(|usage| usage.ram_used_gb > 0.0));
    }

    #[tokio::test]
    async fn a_panic_is_no_usage_and_is_logged_once() {
        let logs = Logs::new();
        let _guard = logs.start();
        let checker = Checker::new(LONG, || panic!("no sensor"));
        for _ in 0..3 {
            assert_eq!(checker.usage().await, None);
        }
        assert_eq!(logs.count("`usage_checker` panicked: no sensor"), 1, "{logs:?}");
    }

    #[tokio::test]
    async fn a_number_that_json_does_not_have_is_no_usage() {
        let logs = Logs::new();
        let _guard = logs.start();
        let device = rxon::model::DeviceUsage {
            unit_id: "a".to_owned(),
            load_percent: f64::INFINITY,
            metrics: std::collections::BTreeMap::default(),
        };
        let checker =
            Checker::new(LONG, move || Some(Usage { devices_usage: vec![device.clone()], ..busy(1.0) }));
        assert_eq!((checker.usage().await, checker.usage().await), (None, None));
        assert_eq!(logs.count("the number inf"), 1, "{logs:?}");
    }

    #[tokio::test]
    async fn a_function_that_hangs_is_waited_for_once_and_its_last_answer_counts() {
        let logs = Logs::new();
        let _guard = logs.start();
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let limit = Duration::from_millis(100);
        let checker = Checker::new(limit, move || {
            // The second call hangs until the test releases it.
            if counted.fetch_add(1, Ordering::SeqCst) == 1 {
                let _ = lock(&released).recv();
            }
            Some(busy(counted.load(Ordering::SeqCst) as f64))
        });
        assert_eq!(checker.usage().await, Some(busy(1.0)));
        let began = Instant::now();
        for _ in 0..100 {
            assert_eq!(checker.usage().await, Some(busy(1.0)), "the last answer");
        }
        assert!(began.elapsed() < limit * 50, "only the first call was waited for: {:?}", began.elapsed());
        assert_eq!((calls.load(Ordering::SeqCst), logs.count("`usage_checker` is slow")), (2, 1), "{logs:?}");
        drop(release);
        checker.calls.ended().await;
        assert_eq!(checker.usage().await, Some(busy(3.0)));
    }
}
