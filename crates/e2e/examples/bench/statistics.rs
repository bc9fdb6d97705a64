//! Medians, their spread, and figures as they are printed.

/// The middle of several figures, with the lowest and the highest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

impl Spread {
    /// The spread of at least one figure; of none it is 0.
    pub(crate) fn of(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let [lowest, highest] = [sorted.first(), sorted.last()].map(|end| end.copied().unwrap_or_default());
        Self { median: percentile(&sorted, 50.0), lowest, highest }
    }

    /// The spread of each round's figure divided by the other's of the same round: noise that lasts longer than a round
    /// is in both.
    pub(crate) fn of_ratios(figures: &[f64], others: &[f64]) -> Self {
        let ratios: Vec<f64> = figures.iter().zip(others).map(|(figure, other)| figure / other).collect();
        Self::of(&ratios)
    }

    /// `median (lowest–highest)`
    pub(crate) fn shown(&self, decimals: usize) -> String {
        let [median, lowest, highest] =
            [self.median, self.lowest, self.highest].map(|figure| shown(figure, decimals));
        format!("{median} ({lowest}–{highest})")
    }
}

/// The figure below which so many per cent of the sorted figures are; between two figures, the value in proportion.
pub(crate) fn percentile(sorted: &[f64], per_cent: f64) -> f64 {
    let place = per_cent / 100.0 * sorted.len().saturating_sub(1) as f64;
    let [below, above] =
        [place.floor(), place.ceil()].map(|place| sorted.get(place as usize).copied().unwrap_or_default());
    below + (above - below) * place.fract()
}

/// A number with commas between thousands.
pub(crate) fn shown(figure: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", figure.abs());
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (place, digit) in whole.char_indices() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign =
        if figure < 0.0 && text.contains(|digit: char| ('1'..='9').contains(&digit)) { "−" } else { "" };
    format!("{sign}{grouped}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let spread = Spread::of(&[3.0, 1.0, 10.0]);
        assert_eq!(spread, Spread { median: 3.0, lowest: 1.0, highest: 10.0 });
        assert_eq!(Spread::of(&[4.0, 1.0]).median, 2.5);
        assert_eq!(Spread::of(&[]), Spread { median: 0.0, lowest: 0.0, highest: 0.0 });
    }

    #[test]
    fn ratios_are_those_of_each_round() {
        // The second round was disturbed; the ratio of the medians would be 1.
        let spread = Spread::of_ratios(&[2.0, 1.0, 6.0], &[4.0, 2.0, 2.0]);
        assert_eq!(spread, Spread { median: 0.5, lowest: 0.5, highest: 3.0 });
    }

    #[test]
    fn percentiles_lie_between_figures() {
        let sorted: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!([0.0, 50.0, 99.0, 100.0].map(|p| percentile(&sorted, p)), [0.0, 50.0, 99.0, 100.0]);
        assert_eq!(percentile(&[1.0, 2.0], 75.0), 1.75);
        assert_eq!(percentile(&[7.0], 99.9), 7.0);
    }

    #[test]
    fn numbers_are_grouped() {
        let table = [(0.0, 0, "0"), (999.4, 0, "999"), (1234.5, 1, "1,234.5"), (1e6, 0, "1,000,000")];
        for (figure, decimals, wanted) in table {
            assert_eq!(shown(figure, decimals), wanted);
        }
        assert_eq!(shown(-1234.0, 0), "−1,234");
        assert_eq!(shown(-0.01, 1), "0.0");
        assert_eq!(Spread::of(&[1000.0, 3000.0]).shown(0), "2,000 (1,000–3,000)");
    }
}
