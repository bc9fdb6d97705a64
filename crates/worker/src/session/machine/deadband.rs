//! The choice of measurements that are sent.

use std::time::Duration;

use rxon::model::{DeviceUsage, Usage};
use serde_json::Value;
use tokio::time::Instant;

use super::graphics::MEMORY_USED;

/// Decides which measurements are sent: those that have changed enough, by the rule of orchestrator 1.0b17. Pure.
#[derive(Debug)]
pub(crate) struct Deadband {
    /// In points for processors and devices, in percent of the last value for memory.
    width: f64,
    /// The time after which a measurement is sent even if nothing has changed.
    force_interval: Duration,
    /// The last usage that the orchestrator accepted, and when.
    known: Option<(Instant, Usage)>,
}

impl Deadband {
    pub(crate) fn new(width: f64, force_interval: Duration) -> Self {
        Self { width, force_interval, known: None }
    }

    /// Returns true if this usage is worth sending.
    pub(crate) fn is_due(&self, usage: &Usage, now: Instant) -> bool {
        let Some((at, last)) = &self.known else { return true };
        now.duration_since(*at) >= self.force_interval
            || self.is_apart(last.cpu_load_percent, usage.cpu_load_percent)
            || self.has_changed(last.ram_used_gb, usage.ram_used_gb)
            || last.devices_usage.len() != usage.devices_usage.len()
            || last.devices_usage.iter().zip(&usage.devices_usage).any(|(last, device)| {
                let memory = |device: &DeviceUsage| {
                    device.metrics.get(MEMORY_USED).and_then(Value::as_f64).unwrap_or(0.0)
                };
                last.unit_id != device.unit_id
                    || self.is_apart(last.load_percent, device.load_percent)
                    || self.has_changed(memory(last), memory(device))
            })
    }

    /// Compares loads.
    fn is_apart(&self, last: f64, now: f64) -> bool {
        (now - last).abs() > self.width
    }

    /// Compares memory.
    fn has_changed(&self, last: f64, now: f64) -> bool {
        if last > 0.0 { (now - last).abs() / last * 100.0 > self.width } else { now > 0.0 }
    }

    /// Records that the orchestrator has accepted this usage.
    pub(crate) fn accepted(&mut self, usage: Usage, now: Instant) {
        self.known = Some((now, usage));
    }

    /// Records that the orchestrator may have forgotten everything.
    pub(crate) fn forget(&mut self) {
        self.known = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(cpu: f64, memory: f64) -> Usage {
        Usage { cpu_load_percent: cpu, ram_used_gb: memory, devices_usage: Vec::new() }
    }

    #[test]
    fn small_changes_are_not_sent_and_large_ones_are() {
        let now = Instant::now();
        let mut deadband = Deadband::new(5.0, Duration::from_secs(60));
        assert!(deadband.is_due(&usage(0.0, 0.0), now), "never sent");
        deadband.accepted(usage(50.0, 10.0), now);
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
        deadband.accepted(usage(50.0, 0.0), now);
        assert!(deadband.is_due(&usage(50.0, 0.01), now), "from nothing to something");
        deadband.forget();
        assert!(deadband.is_due(&usage(50.0, 0.0), now));
    }

    #[test]
    fn devices_are_sent_when_they_change() {
        let now = Instant::now();
        let device = |id: &str, load: f64, memory: f64| DeviceUsage {
            unit_id: id.to_owned(),
            load_percent: load,
            metrics: [(MEMORY_USED.to_owned(), memory.into())].into(),
        };
        let with = |devices: Vec<DeviceUsage>| Usage { devices_usage: devices, ..usage(50.0, 10.0) };
        let mut deadband = Deadband::new(5.0, Duration::from_secs(60));
        deadband.accepted(with(vec![device("a", 40.0, 8.0)]), now);
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
}
