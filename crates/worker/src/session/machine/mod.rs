//! The machine's processors, memory and graphics cards, reported to the newer generation of orchestrators.

mod deadband;
mod graphics;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rxon::model::{Device, Usage};
use sysinfo::System;
use tokio::time::Instant;

pub(crate) use self::deadband::Deadband;
use self::graphics::{GIB, Graphics, rounded};
use crate::threads::lock;
use crate::threads::probe::Probe;

/// The minimum time between two measurements: the load of processors is an average over it.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// The time limit of a measurement: a driver may hang.
const LIMIT: Duration = Duration::from_millis(250);

/// Measures the machine.
#[derive(Debug)]
pub(crate) struct Telemetry {
    machine: Arc<Mutex<Machine>>,
    measurements: Probe<Measurement>,
}

/// One measurement.
#[derive(Debug, Clone, Default)]
struct Measurement {
    /// `None` if it cannot be measured on this machine.
    usage: Option<Usage>,
    /// In GiB.
    memory: Option<f64>,
    devices: Vec<Device>,
}

#[derive(Debug, Default)]
struct Machine {
    system: System,
    graphics: Graphics,
    measured_at: Option<Instant>,
    last: Measurement,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { machine: Arc::default(), measurements: Probe::new("avtomatika-telemetry", LIMIT) }
    }
}

impl Telemetry {
    /// Measures how busy the machine is. `None` if that is not possible, or takes longer than 250 ms.
    pub(crate) async fn usage(&self) -> Option<Usage> {
        self.usage_by(Machine::measure).await
    }

    async fn usage_by(
        &self,
        measure: impl FnOnce(&mut Machine, Instant) -> Measurement + Send + 'static,
    ) -> Option<Usage> {
        let machine = self.machine.clone();
        let measurement = self.measurements.ask(move || measure(&mut lock(&machine), Instant::now())).await;
        measurement.ok()?.usage
    }

    /// The machine's memory in GiB, as last measured.
    pub(crate) fn memory(&self) -> Option<f64> {
        self.measurements.last()?.memory
    }

    /// The machine's graphics cards, as last measured.
    pub(crate) fn devices(&self) -> Vec<Device> {
        self.measurements.last().unwrap_or_default().devices
    }
}

impl Machine {
    fn measure(&mut self, now: Instant) -> Measurement {
        if self.measured_at.is_some_and(|at| now.duration_since(at) < MIN_INTERVAL) {
            return self.last.clone();
        }
        self.measured_at = Some(now);
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        let total = self.system.total_memory();
        let memory = (total > 0).then(|| rounded(total as f64 / GIB));
        let (devices, devices_usage) = self.graphics.measure();
        let usage = memory.map(|_| Usage {
            cpu_load_percent: rounded(f64::from(self.system.global_cpu_usage())),
            ram_used_gb: rounded(self.system.used_memory() as f64 / GIB),
            devices_usage,
        });
        self.last = Measurement { usage, memory, devices };
        self.last.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_measurement_that_never_ends_costs_one_thread_and_is_not_waited_for() {
        let telemetry = Telemetry::default();
        let (release, never) = std::sync::mpsc::channel::<()>();
        let measured = Arc::new(AtomicUsize::new(0));
        let never = Arc::new(Mutex::new(never));
        for _ in 0..3 {
            let (measured, never) = (measured.clone(), never.clone());
            let hangs = move |_: &mut Machine, _| {
                measured.fetch_add(1, Ordering::SeqCst);
                let _ = lock(&never).recv();
                Measurement::default()
            };
            assert_eq!(telemetry.usage_by(hangs).await, None);
        }
        assert_eq!(measured.load(Ordering::SeqCst), 1);
        assert_eq!(telemetry.measurements.begun(), 1, "no other has begun, and waits on a thread");
        assert_eq!(
            (telemetry.memory(), telemetry.devices()),
            (None, Vec::new()),
            "nor is it waited for here"
        );
        drop(release);
        let ended = tokio::time::timeout(testkit::PATIENCE, telemetry.measurements.ended()).await;
        assert!(ended.is_ok(), "it has ended, and the next may begin");
    }

    #[tokio::test]
    async fn a_machine_has_memory_and_a_load() {
        let telemetry = Telemetry::default();
        let usage = telemetry.usage().await.expect("measured");
        let memory = telemetry.memory().expect("some");
        assert!(memory > 0.0 && (0.0..=memory).contains(&usage.ram_used_gb), "{usage:?} of {memory}");
        assert!((0.0..=100.0).contains(&usage.cpu_load_percent), "{usage:?}");
    }
}
