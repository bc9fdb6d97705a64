//! The time of a line, in UTC: the standard library knows no other.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Writes times. The text of the last second is kept: only the fraction differs between most lines.
#[derive(Debug, Default)]
pub(super) struct Clock {
    second: u64,
    text: String,
}

impl Clock {
    /// Writes date and time with microseconds, as in `2026-11-29T13:01:02.000003Z`.
    pub(super) fn write_now(&mut self, line: &mut String) {
        self.write(since_1970(SystemTime::now()), line);
    }

    fn write(&mut self, time: Duration, line: &mut String) {
        let second = time.as_secs();
        if self.second != second || self.text.is_empty() {
            self.second = second;
            self.text.clear();
            write_seconds(second, &mut self.text);
        }
        line.push_str(&self.text);
        let mut digits = *b".000000Z";
        let mut rest = time.subsec_micros();
        for digit in digits[1..7].iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        line.push_str(std::str::from_utf8(&digits).unwrap_or_default());
    }
}

/// Writes the time of day, as in `13:01:02Z`.
pub(super) fn write_time_of_day(time: SystemTime, line: &mut String) {
    let seconds = since_1970(time).as_secs();
    // Writing to a `String` never fails.
    let _ = write!(line, "{:02}:{:02}:{:02}Z", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn write_seconds(seconds: u64, text: &mut String) {
    const DAYS_OF_4_CENTURIES: u64 = 146_097;
    // Counted from 1 March 2000 less 400 years, so that the day that only leap years have is the last of a year.
    let days = seconds / 86_400 + DAYS_OF_4_CENTURIES - 11_017;
    let (periods, day) = (days / DAYS_OF_4_CENTURIES, days % DAYS_OF_4_CENTURIES);
    let century = (day / 36_524).min(3);
    let day = day - century * 36_524;
    let leap_period = day / 1461;
    let day = day % 1461;
    let year = (day / 365).min(3);
    let day = day - year * 365;
    // Months from March on have 31, 30, 31, 30, 31 days again and again.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = 1600 + 400 * periods + 100 * century + 4 * leap_period + year + u64::from(month >= 10);
    let month = if month < 10 { month + 3 } else { month - 9 };
    let _ = write!(
        text,
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_utc() {
        let mut clock = Clock::default();
        // From `date -u -d @SECONDS`.
        for (seconds, micros, expected) in [
            (0, 0, "1970-01-01T00:00:00.000000Z"),
            (0, 1, "1970-01-01T00:00:00.000001Z"),
            (951_782_399, 999_999, "2000-02-28T23:59:59.999999Z"),
            (951_782_400, 120_000, "2000-02-29T00:00:00.120000Z"),
            (951_868_800, 0, "2000-03-01T00:00:00.000000Z"),
            (1_735_689_599, 5, "2024-12-31T23:59:59.000005Z"),
            (1_735_689_600, 5, "2025-01-01T00:00:00.000005Z"),
            (1_709_251_199, 0, "2024-02-29T23:59:59.000000Z"),
            (2_147_483_648, 0, "2038-01-19T03:14:08.000000Z"),
            (4_107_542_399, 0, "2100-02-28T23:59:59.000000Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000000Z"),
            (11_847_456_541, 0, "2345-06-07T08:09:01.000000Z"),
        ] {
            let mut line = String::new();
            clock.write(Duration::new(seconds, micros * 1000), &mut line);
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn the_time_of_day_is_in_utc() {
        let mut line = String::new();
        write_time_of_day(UNIX_EPOCH + Duration::from_secs(86_400 * 3 + 3600 * 13 + 62), &mut line);
        assert_eq!(line, "13:01:02Z");
    }
}
