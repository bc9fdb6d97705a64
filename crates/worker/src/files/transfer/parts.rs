//! How many parts of large objects are moved at once. Pure.
//!
//! Parts that share a slow line only delay each other: the first is done as late as the last, and what each has moved is lost
//! together when the line breaks.
//!
//! | speed of a part that has ended | limit |
//! |---|---|
//! | less than 128 KiB/s | half, at least 1 |
//! | more than 1 MiB/s | twice, at most the number of transfers |
//! | anything between, or known too little | as before |

use std::time::Duration;

/// The first limit. It doubles within milliseconds on a fast line.
const FIRST: usize = 4;

/// Slower parts are fewer at once, in bytes per second.
const SLOW: u64 = 128 << 10;

/// Faster parts are more at once, in bytes per second.
const FAST: u64 = 1 << 20;

/// A shorter time says nothing about a slow line.
const MIN_TIME: Duration = Duration::from_secs(5);

/// The running parts and their limit.
#[derive(Debug)]
pub(super) struct Parts {
    running: usize,
    limit: usize,
    most: usize,
}

impl Parts {
    pub(super) fn new(most: usize) -> Self {
        Self { running: 0, limit: FIRST.min(most), most }
    }

    /// Whether another part may begin.
    pub(super) fn may_begin(&self) -> bool {
        self.running < self.limit
    }

    pub(super) fn begin(&mut self) {
        self.running += 1;
    }

    /// A part has ended that moved this many bytes in this time.
    pub(super) fn end(&mut self, bytes: u64, time: Duration) {
        self.running -= 1;
        let speed = bytes as f64 / time.as_secs_f64().max(1e-6);
        if speed < SLOW as f64 && time >= MIN_TIME {
            self.limit = (self.limit / 2).max(1);
        } else if speed > FAST as f64 {
            self.limit = (self.limit * 2).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_parts_become_fewer_and_fast_parts_more() {
        const PART: u64 = 8 << 20;
        let mut parts = Parts::new(8);
        for (bytes, seconds, limit) in [
            (PART, 100.0, 2),
            (PART, 60.0, 2),
            (0, 30.0, 1),
            (PART, 100.0, 1),
            // A last part is small, and takes as long as a request at least.
            (1000, 1.0, 1),
            (PART, 20.0, 1),
            (PART, 1.0, 2),
            (PART, 0.1, 4),
            (PART, 0.0, 8),
            (PART, 0.1, 8),
        ] {
            parts.begin();
            parts.end(bytes, Duration::from_secs_f64(seconds));
            assert_eq!(parts.limit, limit, "{bytes} bytes in {seconds} s");
        }
    }
}
