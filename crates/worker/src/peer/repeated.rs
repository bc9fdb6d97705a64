//! What happens again and again: a line at first, then a count now and then.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts one kind of thing. Each tenth power of it is worth a line, so that a log's tail shows it.
#[derive(Debug, Default)]
pub(crate) struct Repeated(AtomicUsize);

impl Repeated {
    /// It happened. How often it has by now, and whether that is worth a line.
    pub(crate) fn again(&self) -> (usize, bool) {
        let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        (count, is_power_of_ten(count))
    }

    /// It is over: the next time is the first. How often it happened.
    pub(crate) fn over(&self) -> usize {
        // Mostly it never happened, and many ask.
        if self.0.load(Ordering::Relaxed) == 0 { 0 } else { self.0.swap(0, Ordering::Relaxed) }
    }
}

fn is_power_of_ten(mut number: usize) -> bool {
    while number.is_multiple_of(10) && number > 0 {
        number /= 10;
    }
    number == 1
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
