//! Horizontal bars in groups.

use super::axis::{Axis, Scale, mark_text};
use super::svg::{Anchor, LINE, Svg, width_of};
use crate::statistics::{Spread, shown};

/// Bars with their spread, in groups of the same clients.
#[derive(Debug)]
pub(crate) struct Bars {
    /// The name of the file, without `.svg`.
    pub(crate) name: String,
    pub(crate) title: String,
    /// The unit of all bars, as in `tasks/s`.
    pub(crate) unit: String,
    /// Bars of the same group are next to each other.
    pub(crate) bars: Vec<Bar>,
}

#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) group: String,
    /// Bars with the same label have the same colour.
    pub(crate) label: String,
    pub(crate) spread: Spread,
}

const WIDTH: f64 = 760.0;
const TOP: f64 = 44.0;
const BAR: f64 = 16.0;

impl Bars {
    pub(super) fn svg(&self) -> String {
        let label_width = self.bars.iter().map(|bar| width_of(&bar.label)).fold(0.0, f64::max) + 24.0;
        let groups = self.bars.chunk_by(|one, next| one.group == next.group);
        let bottom =
            TOP + groups.clone().count() as f64 * (LINE + 10.0) + self.bars.len() as f64 * (BAR + 4.0);
        let mut svg = Svg::new(WIDTH, bottom + 46.0, &self.title);
        svg.text(16.0, 24.0, Anchor::Start, "title", &format!("{} ({})", self.title, self.unit));

        // Room for the number beside the longest bar.
        let axis = Axis::new(
            Scale::Linear,
            self.bars.iter().map(|bar| bar.spread.highest),
            (label_width, WIDTH - 90.0),
        );
        for mark in axis.marks() {
            let x = axis.place(mark);
            svg.line((x, TOP), (x, bottom), "grid");
            svg.text(x, bottom + 16.0, Anchor::Middle, "faint", &mark_text(mark));
        }
        svg.text(axis.place(0.0), bottom + 34.0, Anchor::Start, "faint", &self.unit);

        let mut colours: Vec<&str> = Vec::new();
        let mut y = TOP;
        for group in groups {
            svg.text(16.0, y + LINE - 4.0, Anchor::Start, "group", &group[0].group);
            y += LINE + 2.0;
            for bar in group {
                let known = colours.iter().position(|label| *label == bar.label);
                let colour = known.unwrap_or_else(|| {
                    colours.push(&bar.label);
                    colours.len() - 1
                });
                self.draw(&mut svg, &axis, y, bar, colour);
                y += BAR + 4.0;
            }
            y += 8.0;
        }
        svg.line((axis.place(0.0), TOP), (axis.place(0.0), bottom), "axis");
        svg.finish()
    }

    fn draw(&self, svg: &mut Svg, axis: &Axis, y: f64, bar: &Bar, colour: usize) {
        let zero = axis.place(0.0);
        let Spread { median, lowest, highest } = bar.spread;
        svg.text(zero - 8.0, y + BAR - 4.0, Anchor::End, "", &bar.label);
        svg.bar((zero, y), (axis.place(median) - zero, BAR), colour);
        let middle = y + BAR / 2.0;
        svg.line((axis.place(lowest), middle), (axis.place(highest), middle), "range");
        for end in [lowest, highest] {
            svg.line((axis.place(end), middle - 4.0), (axis.place(end), middle + 4.0), "range");
        }
        let decimals = if self.bars.iter().any(|bar| bar.spread.median >= 1000.0) { 0 } else { 1 };
        let x = axis.place(highest.max(median)) + 6.0;
        svg.text(x, y + BAR - 4.0, Anchor::Start, "", &shown(median, decimals));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::svg::tests::assert_well_formed;

    #[test]
    fn every_bar_is_drawn_and_labelled() {
        let bar = |group: &str, label: &str, median| Bar {
            group: group.to_owned(),
            label: label.to_owned(),
            spread: Spread { median, lowest: median * 0.9, highest: median * 1.1 },
        };
        let bars = Bars {
            name: "speeds".to_owned(),
            title: "Speeds <of> tasks".to_owned(),
            unit: "tasks/s".to_owned(),
            bars: vec![bar("1 slot", "a & b", 10.0), bar("1 slot", "c", 0.0), bar("2 slots", "a & b", 20.0)],
        };
        let file = bars.svg();
        assert_well_formed(&file);
        assert_eq!(file.matches("<rect").count(), 3 + 1);
        assert_eq!(file.matches(r##"fill="#0072b2""##).count(), 2, "the same client has the same colour");
        assert!(file.contains(">a &amp; b</text>") && file.contains(">tasks/s</text>"), "{file}");
    }

    #[test]
    fn no_bars_are_a_picture_too() {
        let [name, title, unit] = ["n", "t", "u"].map(str::to_owned);
        assert_well_formed(&Bars { name, title, unit, bars: Vec::new() }.svg());
    }
}
