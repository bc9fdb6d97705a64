//! Log lines for repeated events: a line for the first, then fewer and fewer, with a count.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts events of one kind. Each power of ten is worth a line, so that the end of a log shows the event.
#[derive(Debug, Default)]
pub(crate) struct Repeated(AtomicUsize);

impl Repeated {
    /// Counts an event. Returns the count, and whether it is worth a line.
    pub(crate) fn again(&self) -> (usize, bool) {
        let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        (count, 10_usize.pow(count.ilog10()) == count)
    }

    /// Starts from zero again. Returns the count so far.
    pub(crate) fn over(&self) -> usize {
        // Usually nothing was counted, and many threads call this.
        if self.0.load(Ordering::Relaxed) == 0 { 0 } else { self.0.swap(0, Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_each_tenth_power_are_worth_a_line() {
        let repeated = Repeated::default();
        let mut worth: Vec<usize> = Vec::new();
        for _ in 0..5000 {
            let (count, is_worth_a_line) = repeated.again();
            worth.extend(is_worth_a_line.then_some(count));
        }
        assert_eq!(worth, [1, 10, 100, 1000]);
        assert_eq!((repeated.over(), repeated.over()), (5000, 0));
        assert_eq!(repeated.again(), (1, true));
    }
}
