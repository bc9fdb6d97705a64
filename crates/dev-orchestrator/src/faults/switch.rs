//! A switch of a fault as it is requested, and the check of its values.

use std::ops::RangeInclusive;
use std::time::Duration;

use rxon::WorkerId;
use serde::{Deserialize, Serialize};

use super::table::Fault;
use crate::error::Error;

/// The delay of `slow` and `storage_slow` unless another one is given.
const DELAY: Duration = Duration::from_secs(3);

/// The delays that can be set.
const DELAYS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);

/// The longest time for which a fault can be switched on: a year.
const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);

/// A request to switch a fault on or off. It is checked by
/// [`DevOrchestrator::set_fault`](crate::DevOrchestrator::set_fault).
///
/// ```
/// use std::time::Duration;
///
/// use avtomatika_dev::FaultSwitch;
///
/// let half_of_all_for_5_s = FaultSwitch::on().with_rate(0.5).with_duration(Duration::from_secs(5));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FaultSwitch {
    on: bool,
    rate: Option<f64>,
    duration: Option<Duration>,
    worker: Option<String>,
    delay: Option<Duration>,
}

impl FaultSwitch {
    /// Switches the fault on: for every request, for all workers, until it is switched off.
    pub fn on() -> Self {
        Self { on: true, ..Self::off() }
    }

    /// Switches the fault off.
    pub fn off() -> Self {
        Self { on: false, rate: None, duration: None, worker: None, delay: None }
    }

    /// The share of requests that the fault hits, from 0 to 1. Default: 1.
    ///
    /// With a rate, [`Fault::Forget`] makes workers unknown at their heartbeats; without one, all at once.
    #[must_use]
    pub fn with_rate(mut self, rate: f64) -> Self {
        self.rate = Some(rate);
        self
    }

    /// The time after which the fault is switched off, a year at most. Default: never.
    #[must_use]
    pub fn with_duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// The only worker that the fault hits. Default: all of them.
    ///
    /// Requests to the storage do not name a worker: faults of the storage hit all of them, and only the verdict is
    /// about this worker alone.
    #[must_use]
    pub fn with_worker(mut self, worker_id: impl Into<String>) -> Self {
        self.worker = Some(worker_id.into());
        self
    }

    /// The delay of answers, from 0.1 to 60 s; for [`Fault::Slow`] and [`Fault::StorageSlow`] only. Default: 3 s.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Checks the values. `None` switches the fault off.
    pub(super) fn check(self, fault: Fault) -> Result<Option<Setting>, Error> {
        let invalid = |text: String| Error::InvalidFault(format!("`{fault}`: {text}"));
        if let Some(rate) = self.rate.filter(|rate| !(0.0..=1.0).contains(rate)) {
            return Err(invalid(format!("`rate` is `{rate}`, expected a number from 0 to 1")));
        }
        if let Some(duration) = self.duration.filter(|time| time.is_zero() || *time > MAX_DURATION) {
            let seconds = duration.as_secs_f64();
            return Err(invalid(format!("`for` is `{seconds}`, expected seconds above 0, at most a year")));
        }
        if let Some(delay) = self.delay {
            if !fault.has_delay() {
                return Err(invalid("`delay` is only for `slow` and `storage_slow`".to_owned()));
            }
            if !DELAYS.contains(&delay) {
                let seconds = delay.as_secs_f64();
                return Err(invalid(format!("`delay` is `{seconds}`, expected seconds from 0.1 to 60")));
            }
        }
        let worker = self.worker.map(|id| WorkerId::new(&id)).transpose();
        let worker = worker.map_err(|error| invalid(format!("`worker`: {error}")))?;
        let (rate, duration, delay) = (self.rate, self.duration, self.delay.unwrap_or(DELAY));
        Ok(self.on.then_some(Setting { rate, duration, worker, delay }))
    }
}

/// The checked values of a fault that is on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Setting {
    /// The rate, if one was given.
    pub(super) rate: Option<f64>,
    pub(super) duration: Option<Duration>,
    /// The only worker that is hit; `None` stands for all.
    pub(super) worker: Option<WorkerId>,
    pub(super) delay: Duration,
}

impl Setting {
    /// Whether requests of this worker can be hit; `None` stands for a request that names none.
    pub(super) fn concerns(&self, worker: Option<&str>) -> bool {
        self.worker.as_ref().is_none_or(|only| worker == Some(only.as_str()))
    }
}

/// A switch in the API.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchMessage {
    on: bool,
    rate: Option<f64>,
    #[serde(rename = "for")]
    seconds: Option<f64>,
    worker: Option<String>,
    delay: Option<f64>,
}

impl SwitchMessage {
    pub(crate) fn switch(self, fault: Fault) -> Result<FaultSwitch, Error> {
        let time = |field: &str, seconds: Option<f64>| {
            let time = seconds.map(Duration::try_from_secs_f64).transpose();
            time.map_err(|_| {
                let seconds = seconds.unwrap_or_default();
                Error::InvalidFault(format!(
                    "`{fault}`: `{field}` is `{seconds}`, expected a number of seconds above 0"
                ))
            })
        };
        let (duration, delay) = (time("for", self.seconds)?, time("delay", self.delay)?);
        Ok(FaultSwitch { on: self.on, rate: self.rate, duration, worker: self.worker, delay })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_refused() {
        let on = FaultSwitch::on;
        let (tenth, long) = (Duration::from_millis(100), Duration::from_secs(400 * 24 * 3600));
        for (fault, switch, expected) in [
            (Fault::Cut, on().with_rate(1.1), "`cut`: `rate` is `1.1`, expected a number from 0 to 1"),
            (Fault::Cut, on().with_rate(-0.1), "`rate` is `-0.1`"),
            (Fault::Cut, on().with_rate(f64::NAN), "`rate` is `NaN`"),
            (Fault::Cut, on().with_duration(Duration::ZERO), "`for` is `0`"),
            (Fault::Cut, on().with_duration(long), "`for` is `34560000`"),
            (Fault::Cut, on().with_worker("a b"), "`worker`: `a b`"),
            (Fault::Cut, on().with_delay(tenth), "`delay` is only for `slow`"),
            (Fault::Slow, on().with_delay(tenth / 2), "`delay` is `0.05`, expected seconds from 0.1 to 60"),
            (Fault::Slow, on().with_delay(tenth * 601), "`delay` is `60.1`"),
        ] {
            let error = switch.clone().check(fault).expect_err("out of range").to_string();
            assert!(error.contains(expected), "{switch:?}: {error}");
        }
        for rate in [0.0, 1.0] {
            assert!(on().with_rate(rate).check(Fault::Cut).is_ok(), "{rate}");
        }
        let setting = on().with_delay(tenth).check(Fault::StorageSlow).expect("valid").expect("on");
        assert_eq!(setting.delay, tenth);
        assert!(FaultSwitch::off().check(Fault::Cut).expect("valid").is_none());
    }

    #[test]
    fn a_switch_for_one_worker_concerns_no_other() {
        let only = FaultSwitch::on().with_worker("w").check(Fault::Cut).expect("valid").expect("on");
        assert!(only.concerns(Some("w")) && !only.concerns(Some("v")) && !only.concerns(None));
        let all = FaultSwitch::on().check(Fault::Cut).expect("valid").expect("on");
        assert!(all.concerns(Some("v")) && all.concerns(None));
    }
}
