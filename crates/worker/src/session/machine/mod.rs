//! How busy the machine is, as told to the newer orchestrator.

mod graphics;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rxon::model::{Device, DeviceUsage, Usage};
use sysinfo::System;
use tokio::time::Instant;

use crate::session::machine::graphics::Graphics;
use crate::threads::lock;

/// The load of processors is an average over at least this time.
const SHORTEST: Duration = Duration::from_secs(1);

/// A look at the machine takes no longer, or is not waited for.
const LOOK_LIMIT: Duration = Duration::from_millis(250);

pub(crate) const GIB: f64 = (1u64 << 30) as f64;

/// Looks at the machine.
///
/// One look at a time: one that never ends, because a driver hangs, costs one thread.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    looked: Arc<Mutex<Looked>>,
    /// Held by the look that is under way.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Looked {
    system: System,
    graphics: Graphics,
    at: Option<Instant>,
    usage: Option<Usage>,
    memory: Option<f64>,
    devices: Vec<Device>,
}

impl Telemetry {
    /// How busy the machine is. None where that cannot be found out, or not in time.
    pub(crate) async fn usage(&self) -> Option<Usage> {
        self.usage_by(Looked::look).await
    }

    async fn usage_by(
        &self,
        look: impl FnOnce(&mut Looked, Instant) -> Option<Usage> + Send + 'static,
    ) -> Option<Usage> {
        let looking = async {
            let (looked, turn) = (self.looked.clone(), self.turn.clone().lock_owned().await);
            let look = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                look(&mut lock(&looked), Instant::now())
            });
            look.await.ok()?
        };
        tokio::time::timeout(LOOK_LIMIT, looking).await.ok()?
    }

    /// The machine's memory in GiB, once it was looked at.
    pub(crate) fn memory(&self) -> Option<f64> {
        // A look may be under way that takes long.
        self.looked.try_lock().ok()?.memory
    }

    /// The machine's graphics cards, once it was looked at.
    pub(crate) fn devices(&self) -> Vec<Device> {
        self.looked.try_lock().map(|looked| looked.devices.clone()).unwrap_or_default()
    }
}

impl Looked {
    fn look(&mut self, now: Instant) -> Option<Usage> {
        if self.at.is_some_and(|at| now.duration_since(at) < SHORTEST) {
            return self.usage.clone();
        }
        self.at = Some(now);
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        let total = self.system.total_memory();
        self.memory = (total > 0).then(|| rounded(total as f64 / GIB));
        let (devices, devices_usage) = self.graphics.look();
        self.devices = devices;
        self.usage = self.memory.map(|_| Usage {
            cpu_load_percent: rounded(f64::from(self.system.global_cpu_usage())),
            ram_used_gb: rounded(self.system.used_memory() as f64 / GIB),
            devices_usage,
        });
        self.usage.clone()
    }
}

/// The metric of a device that counts as memory.
pub(crate) const MEMORY_USED: &str = "memory_used_gb";

/// To hundredths: more is noise.
pub(crate) fn rounded(number: f64) -> f64 {
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
    pub(crate) fn is_due(&self, usage: &Usage, now: Instant) -> bool {
        let Some((at, last)) = &self.told else { return true };
        now.duration_since(*at) >= self.force_interval
            || self.is_apart(last.cpu_load_percent, usage.cpu_load_percent)
            || self.has_changed(last.ram_used_gb, usage.ram_used_gb)
            || last.devices_usage.len() != usage.devices_usage.len()
            || last.devices_usage.iter().zip(&usage.devices_usage).any(|(last, device)| {
                let memory = |device: &DeviceUsage| device.metrics.get(MEMORY_USED).copied().unwrap_or(0.0);
                last.unit_id != device.unit_id
                    || self.is_apart(last.load_percent, device.load_percent)
                    || self.has_changed(memory(last), memory(device))
            })
    }

    /// Of loads.
    fn is_apart(&self, last: f64, now: f64) -> bool {
        (now - last).abs() > self.width
    }

    /// Of memory.
    fn has_changed(&self, last: f64, now: f64) -> bool {
        if last > 0.0 { (now - last).abs() / last * 100.0 > self.width } else { now > 0.0 }
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn usage(cpu: f64, memory: f64) -> Usage {
        Usage { cpu_load_percent: cpu, ram_used_gb: memory, devices_usage: Vec::new() }
    }

    #[test]
    fn small_changes_are_not_told_and_large_ones_are() {
        let now = Instant::now();
        let mut deadband = Deadband::new(5.0, Duration::from_secs(60));
        assert!(deadband.is_due(&usage(0.0, 0.0), now), "never told");
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
            assert_eq!(deadband.is_due(&usage(cpu, memory), now), due, "{cpu} {memory}");
        }
        assert!(!deadband.is_due(&usage(50.0, 10.0), now + Duration::from_secs(59)));
        assert!(deadband.is_due(&usage(50.0, 10.0), now + Duration::from_secs(60)));
        deadband.told(usage(50.0, 0.0), now);
        assert!(deadband.is_due(&usage(50.0, 0.01), now), "from nothing to something");
        deadband.forget();
        assert!(deadband.is_due(&usage(50.0, 0.0), now));
    }

    #[test]
    fn devices_are_told_when_they_change() {
        let now = Instant::now();
        let device = |id: &str, load: f64, memory: f64| DeviceUsage {
            unit_id: id.to_owned(),
            load_percent: load,
            metrics: [(MEMORY_USED.to_owned(), memory)].into(),
        };
        let with = |devices: Vec<DeviceUsage>| Usage { devices_usage: devices, ..usage(50.0, 10.0) };
        let mut deadband = Deadband::new(5.0, Duration::from_secs(60));
        deadband.told(with(vec![device("a", 40.0, 8.0)]), now);
        for (devices, due) in [
            (vec![device("a", 40.0, 8.0)], false),
            (vec![device("a", 45.0, 8.3)], false),
            (vec![device("a", 45.1, 8.0)], true),
            (vec![device("a", 40.0, 8.41)], true),
            (vec![device("b", 40.0, 8.0)], true),
            (vec![], true),
            (vec![device("a", 40.0, 8.0), device("b", 0.0, 0.0)], true),
        ] {
            assert_eq!(deadband.is_due(&with(devices.clone()), now), due, "{devices:?}");
        }
    }

    #[tokio::test]
    async fn a_look_that_never_ends_costs_one_thread_and_is_not_waited_for() {
        let telemetry = Telemetry::default();
        let (release, never) = std::sync::mpsc::channel::<()>();
        let looks = Arc::new(AtomicUsize::new(0));
        let never = Arc::new(Mutex::new(never));
        for _ in 0..3 {
            let (looks, never) = (looks.clone(), never.clone());
            let hangs = move |_: &mut Looked, _| {
                looks.fetch_add(1, Ordering::SeqCst);
                lock(&never).recv().err().and(None)
            };
            assert_eq!(telemetry.usage_by(hangs).await, None);
        }
        assert_eq!(looks.load(Ordering::SeqCst), 1);
        assert!(telemetry.turn.try_lock().is_err(), "no other look has begun, and waits on a thread");
        assert_eq!(
            (telemetry.memory(), telemetry.devices()),
            (None, Vec::new()),
            "nor is it waited for here"
        );
        drop(release);
        let next = tokio::time::timeout(Duration::from_secs(5), telemetry.turn.lock()).await;
        assert!(next.is_ok(), "it has ended, and the next may begin");
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
