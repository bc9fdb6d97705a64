//! When to try again. Pure: the random number generator is an argument.

use std::time::{Duration, SystemTime};

use fastrand::Rng;

/// The random part of a delay, which keeps workers that failed together from coming back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jitter {
    /// From zero to the whole delay: for delays that no variable names.
    Full,
    /// The whole delay and up to a quarter more: a delay that a variable names is never cut short.
    AddQuarter,
}

/// An exponential schedule of retries.
///
/// ```
/// use std::time::Duration;
/// use rxon::backoff::{Backoff, Jitter};
///
/// let mut rng = fastrand::Rng::with_seed(1);
/// let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60), Jitter::Full);
/// assert!(backoff.next(&mut rng) <= Duration::from_secs(1));
/// assert!(backoff.next(&mut rng) <= Duration::from_secs(2));
/// backoff.reset();
/// assert_eq!(backoff.failures(), 0);
/// ```
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    jitter: Jitter,
    failures: u32,
}

impl Backoff {
    /// Creates a schedule that begins with `first` and doubles up to `longest`, both before jitter.
    pub fn new(first: Duration, longest: Duration, jitter: Jitter) -> Self {
        Self { first, longest: longest.max(first), jitter, failures: 0 }
    }

    /// Counts a failure and returns the delay after it.
    pub fn next(&mut self, rng: &mut Rng) -> Duration {
        let doubled = self.first.as_secs_f64() * 2f64.powi(self.failures.min(64) as i32);
        let base = Duration::from_secs_f64(doubled.min(self.longest.as_secs_f64()));
        self.failures = self.failures.saturating_add(1);
        match self.jitter {
            Jitter::Full => base.mul_f64(rng.f64()),
            Jitter::AddQuarter => add_quarter(base, rng),
        }
    }

    /// Returns the number of failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Starts again from the first delay, after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Adds up to a quarter to a delay.
pub fn add_quarter(delay: Duration, rng: &mut Rng) -> Duration {
    delay.mul_f64(1.0 + rng.f64() / 4.0)
}

/// The longest delay that a `Retry-After` header can ask for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// Reads a `Retry-After` header: seconds or an HTTP date.
///
/// A longer delay counts as [`MAX_RETRY_AFTER`], and so does what is no sensible time: some servers send the Unix time at
/// which they are back, and a worker must not be silent for years.
pub fn retry_after(value: &str, now: SystemTime) -> Duration {
    let value = value.trim();
    let delay = match value.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => {
            httpdate::parse_http_date(value).ok().map(|date| date.duration_since(now).unwrap_or_default())
        }
    };
    delay.map_or(MAX_RETRY_AFTER, |delay| delay.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, proptest};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    proptest! {
        #[test]
        fn full_jitter_stays_between_zero_and_the_doubled_delay(seed: u64, failures in 0u32..200) {
            let mut rng = Rng::with_seed(seed);
            let mut backoff = Backoff::new(SECOND, 60 * SECOND, Jitter::Full);
            for failure in 0..=failures {
                let ceiling = 60.0_f64.min(2f64.powi(failure.min(30) as i32));
                prop_assert!(backoff.next(&mut rng).as_secs_f64() <= ceiling);
            }
        }

        #[test]
        fn a_named_delay_is_never_cut_short(seed: u64, failures in 0u32..200) {
            let mut rng = Rng::with_seed(seed);
            let mut backoff = Backoff::new(SECOND, 60 * SECOND, Jitter::AddQuarter);
            for failure in 0..=failures {
                let base = 60.0_f64.min(2f64.powi(failure.min(30) as i32));
                let delay = backoff.next(&mut rng).as_secs_f64();
                prop_assert!((base..=base * 1.25 + 1e-9).contains(&delay), "{delay} after {failure}");
            }
        }
    }

    #[test]
    fn a_success_starts_from_the_first_delay() {
        let mut rng = Rng::with_seed(7);
        let mut backoff = Backoff::new(SECOND, 60 * SECOND, Jitter::AddQuarter);
        for _ in 0..5 {
            backoff.next(&mut rng);
        }
        backoff.reset();
        assert!(backoff.next(&mut rng) <= SECOND.mul_f64(1.25));
    }

    #[test]
    fn a_first_delay_above_the_longest_is_kept() {
        let mut backoff = Backoff::new(90 * SECOND, 60 * SECOND, Jitter::AddQuarter);
        assert!(backoff.next(&mut Rng::with_seed(1)) >= 90 * SECOND);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        assert_eq!(retry_after("7", now), 7 * SECOND);
        assert_eq!(retry_after(" 0.5 ", now), SECOND / 2);
        assert_eq!(retry_after("600", now), 600 * SECOND);
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:07 GMT", now), 30 * SECOND);
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), Duration::ZERO);
    }

    #[test]
    fn what_is_too_long_or_no_time_counts_as_ten_minutes() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        let later = "Sun, 06 Nov 2094 08:49:37 GMT";
        for value in ["601", "1700000000", "1e300", "", "soon", "-1", "NaN", "inf", "-inf", later] {
            assert_eq!(retry_after(value, now), MAX_RETRY_AFTER, "{value}");
        }
    }
}
