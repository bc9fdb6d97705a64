//! How busy the machine is, as told to the newer orchestrator.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rxon::model::Usage;
use sysinfo::System;
use tokio::time::Instant;

use crate::pace::lock;

/// The load of processors is an average over at least this time.
const SHORTEST: Duration = Duration::from_secs(1);

/// A look at the machine takes no longer, or is not waited for.
const LOOK_LIMIT: Duration = Duration::from_millis(250);

const GIB: f64 = (1u64 << 30) as f64;

/// Looks at the machine.
#[derive(Debug, Default)]
pub(crate) struct Telemetry(Arc<Mutex<Looked>>);

#[derive(Debug, Default)]
struct Looked {
    system: System,
    at: Option<Instant>,
    usage: Option<Usage>,
    memory: Option<f64>,
}

impl Telemetry {
    /// How busy the machine is. None where that cannot be found out, or not in time.
    pub(crate) async fn usage(&self) -> Option<Usage> {
        let looked = self.0.clone();
        let look = tokio::task::spawn_blocking(move || lock(&looked).look(Instant::now()));
        tokio::time::timeout(LOOK_LIMIT, look).await.ok()?.ok()?
    }

    /// The machine's memory in GiB, once it was looked at.
    pub(crate) fn memory(&self) -> Option<f64> {
        // A look may be under way that takes long.
        self.0.try_lock().ok()?.memory
    }
}

impl Looked {
    fn look(&mut self, now: Instant) -> Option<Usage> {
        if self.at.is_some_and(|at| now.duration_since(at) < SHORTEST) {
            return self.usage;
        }
        self.at = Some(now);
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        let total = self.system.total_memory();
        self.memory = (total > 0).then(|| rounded(total as f64 / GIB));
        self.usage = self.memory.map(|_| Usage {
            cpu_load_percent: rounded(f64::from(self.system.global_cpu_usage())),
            ram_used_gb: rounded(self.system.used_memory() as f64 / GIB),
        });
        self.usage
    }
}

/// To hundredths: more is noise.
fn rounded(number: f64) -> f64 {
    if number.is_finite() { (number * 100.0).round() / 100.0 } else { 0.0 }
}

/// Tells only what has changed enough, as 1.0b17 says. Pure.
#[derive(Debug)]
pub(crate) struct Deadband {
    /// In points for processors, in percent of the last for memory.
    width: f64,
    /// After so long it is told whatever it is.
    force_interval: Duration,
    told: Option<(Instant, Usage)>,
}

impl Deadband {
    pub(crate) fn new(width: f64, force_interval: Duration) -> Self {
        Self { width, force_interval, told: None }
    }

    /// Whether this is worth telling.
    pub(crate) fn is_due(&self, usage: Usage, now: Instant) -> bool {
        let Some((at, last)) = self.told else { return true };
        let memory = (usage.ram_used_gb - last.ram_used_gb).abs();
        let memory_changed = if last.ram_used_gb > 0.0 {
            memory / last.ram_used_gb * 100.0 > self.width
        } else {
            usage.ram_used_gb > 0.0
        };
        now.duration_since(at) >= self.force_interval
            || (usage.cpu_load_percent - last.cpu_load_percent).abs() > self.width
            || memory_changed
    }

    /// The orchestrator knows this.
    pub(crate) fn told(&mut self, usage: Usage, now: Instant) {
        self.told = Some((now, usage));
    }

    /// The orchestrator may have forgotten everything.
    pub(crate) fn forget(&mut self) {
        self.told = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(cpu: f64, memory: f64) -> Usage {
        Usage { cpu_load_percent: cpu, ram_used_gb: memory }
    }

    #[test]
    fn small_changes_are_not_told_and_large_ones_are() {
        let now = Instant::now();
        let mut deadband = Deadband::new(5.0, Duration::from_secs(60));
        assert!(deadband.is_due(usage(0.0, 0.0), now), "never told");
        deadband.told(usage(50.0, 10.0), now);
        for (cpu, memory, due) in [
            (50.0, 10.0, false),
            (55.0, 10.0, false),
            (55.1, 10.0, true),
            (44.9, 10.0, true),
            (50.0, 10.5, false),
            (50.0, 10.51, true),
            (50.0, 9.49, true),
        ] {
            assert_eq!(deadband.is_due(usage(cpu, memory), now), due, "{cpu} {memory}");
        }
        assert!(!deadband.is_due(usage(50.0, 10.0), now + Duration::from_secs(59)));
        assert!(deadband.is_due(usage(50.0, 10.0), now + Duration::from_secs(60)));
        deadband.told(usage(50.0, 0.0), now);
        assert!(deadband.is_due(usage(50.0, 0.01), now), "from nothing to something");
        deadband.forget();
        assert!(deadband.is_due(usage(50.0, 0.0), now));
    }

    #[tokio::test]
    async fn a_machine_has_memory_and_a_load() {
        let telemetry = Telemetry::default();
        let usage = telemetry.usage().await.expect("looked at");
        let memory = telemetry.memory().expect("some");
        assert!(memory > 0.0 && (0.0..=memory).contains(&usage.ram_used_gb), "{usage:?} of {memory}");
        assert!((0.0..=100.0).contains(&usage.cpu_load_percent), "{usage:?}");
    }
}
