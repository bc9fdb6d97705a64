//! The numbers along an axis.

use crate::statistics::shown;

/// How numbers become places on an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// From 0.
    Linear,
    /// Equal ratios are equally far apart. Numbers must be above 0.
    Log,
}

/// An axis from a lowest to a highest number, between two places of a picture.
#[derive(Debug)]
pub(super) struct Axis {
    scale: Scale,
    numbers: (f64, f64),
    places: (f64, f64),
}

impl Axis {
    /// An axis on which all of these numbers have their place.
    pub(super) fn new(scale: Scale, numbers: impl Iterator<Item = f64>, places: (f64, f64)) -> Self {
        let usable = numbers.filter(|number| number.is_finite() && (*number > 0.0 || scale == Scale::Linear));
        let (lowest, highest) = usable.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| {
            (low.min(number), high.max(number))
        });
        let numbers = match scale {
            _ if lowest > highest => (1.0, 10.0),
            Scale::Linear => (lowest.min(0.0), round_up(highest.max(f64::MIN_POSITIVE))),
            Scale::Log if lowest < highest => (lowest, highest),
            Scale::Log => (lowest / 2.0, highest * 2.0),
        };
        Self { scale, numbers, places }
    }

    /// The place of a number; of one outside of the axis, the nearest end.
    pub(super) fn place(&self, number: f64) -> f64 {
        let ((low, high), (from, to)) = (self.numbers, self.places);
        let part = match self.scale {
            Scale::Linear => (number - low) / (high - low),
            Scale::Log => (number.max(low) / low).ln() / (high / low).ln(),
        };
        from + (to - from) * if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The numbers to write along the axis.
    pub(super) fn marks(&self) -> Vec<f64> {
        let (low, high) = self.numbers;
        match self.scale {
            Scale::Linear => {
                let step = round_up((high - low) / 5.0);
                let first = (low / step).ceil() as i64;
                (first..).map(|count| count as f64 * step).take_while(|mark| *mark <= high * 1.0001).collect()
            }
            Scale::Log => {
                let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
                let is_long = high / low > 500.0;
                let steps: &[f64] = if is_long { &[1.0] } else { &[1.0, 2.0, 5.0] };
                let marks =
                    decades.flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
                marks.filter(|mark| (low * 0.9999..=high * 1.0001).contains(mark)).collect()
            }
        }
    }
}

/// A number beside its mark: without needless digits.
pub(super) fn mark_text(number: f64) -> String {
    let decimals = (0..6).find(|&decimals| {
        let unit = 10f64.powi(decimals);
        ((number * unit).round() / unit - number).abs() < number.abs() * 1e-6 + 1e-12
    });
    shown(number, decimals.unwrap_or(6) as usize)
}

/// The next number upwards that is 1, 1.5, 2, 3, 4, 5, 6 or 8 times a power of ten.
fn round_up(number: f64) -> f64 {
    let unit = 10f64.powf(number.log10().floor());
    let steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps.map(|step| step * unit).into_iter().find(|step| *step >= number * 0.9999).unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_axis_begins_at_0() {
        let axis = Axis::new(Scale::Linear, [900.0, 4_700.0].into_iter(), (100.0, 600.0));
        assert_eq!(axis.marks(), [0.0, 1_000.0, 2_000.0, 3_000.0, 4_000.0, 5_000.0]);
        assert_eq!([0.0, 2_500.0, 5_000.0, 9_999.0].map(|n| axis.place(n)), [100.0, 350.0, 600.0, 600.0]);
    }

    #[test]
    fn on_a_log_axis_ratios_are_distances() {
        let axis = Axis::new(Scale::Log, [1.0, 10.0, 1_000.0].into_iter(), (0.0, 300.0));
        let places = [1.0, 10.0, 100.0, 0.0].map(|number| axis.place(number).round());
        assert_eq!(places, [0.0, 100.0, 200.0, 0.0]);
        assert_eq!(axis.marks(), [1.0, 10.0, 100.0, 1_000.0]);
        let short = Axis::new(Scale::Log, [1.0, 8.0].into_iter(), (0.0, 1.0));
        assert_eq!(short.marks(), [1.0, 2.0, 5.0]);
    }

    #[test]
    fn odd_numbers_do_no_harm() {
        for numbers in [vec![], vec![f64::NAN], vec![0.0], vec![3.0], vec![-2.0, 5.0]] {
            for scale in [Scale::Linear, Scale::Log] {
                let axis = Axis::new(scale, numbers.iter().copied(), (0.0, 10.0));
                assert!([0.0, 3.0, f64::NAN].iter().all(|n| (0.0..=10.0).contains(&axis.place(*n))));
                assert!(axis.marks().len() < 12, "{scale:?} {numbers:?}");
            }
        }
    }

    #[test]
    fn marks_have_no_needless_digits() {
        assert_eq!([0.0, 0.05, 1.5, 20_000.0].map(mark_text), ["0", "0.05", "1.5", "20,000"]);
    }
}
