//! Lines over numbers.

pub(crate) use super::axis::Scale;
use super::axis::{Axis, mark_text};
use super::svg::{Anchor, LINE, Svg, width_of};

/// Lines through points, over a common axis of numbers.
#[derive(Debug)]
pub(crate) struct Lines {
    /// The name of the file, without `.svg`.
    pub(crate) name: String,
    pub(crate) title: String,
    /// The name and unit of the horizontal axis, and how numbers are spread on it.
    pub(crate) x: (String, Scale),
    /// The same of the vertical axis.
    pub(crate) y: (String, Scale),
    pub(crate) lines: Vec<Line>,
}

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) label: String,
    /// In the order of their `x`.
    pub(crate) points: Vec<Point>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: crate::statistics::Spread,
}

const WIDTH: f64 = 760.0;
const TOP: f64 = 44.0;
const LEFT: f64 = 92.0;
const PLOT: f64 = 260.0;

impl Lines {
    pub(super) fn svg(&self) -> String {
        let legend = self.lines.iter().map(|line| width_of(&line.label)).fold(0.0, f64::max) + 48.0;
        let (right, bottom) = (WIDTH - legend, TOP + PLOT);
        let height = bottom.max(TOP + self.lines.len() as f64 * LINE) + 52.0;
        let mut svg = Svg::new(WIDTH, height, &self.title);
        svg.text(16.0, 24.0, Anchor::Start, "title", &self.title);

        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x = Axis::new(self.x.1, points().map(|point| point.x), (LEFT, right));
        let ends = points().flat_map(|point| [point.y.lowest, point.y.highest]);
        let y = Axis::new(self.y.1, ends, (bottom, TOP));
        for mark in x.marks() {
            svg.line((x.place(mark), TOP), (x.place(mark), bottom), "grid");
            svg.text(x.place(mark), bottom + 16.0, Anchor::Middle, "faint", &mark_text(mark));
        }
        for mark in y.marks() {
            svg.line((LEFT, y.place(mark)), (right, y.place(mark)), "grid");
            svg.text(LEFT - 8.0, y.place(mark) + 4.0, Anchor::End, "faint", &mark_text(mark));
        }
        svg.line((LEFT, TOP), (LEFT, bottom), "axis");
        svg.line((LEFT, bottom), (right, bottom), "axis");
        svg.text((LEFT + right) / 2.0, bottom + 36.0, Anchor::Middle, "", &self.x.0);
        svg.text_upwards(24.0, f64::midpoint(TOP, bottom), &self.y.0);

        for (number, line) in self.lines.iter().enumerate() {
            for point in &line.points {
                svg.range(x.place(point.x), (y.place(point.y.lowest), y.place(point.y.highest)), number);
            }
            let places: Vec<(f64, f64)> =
                line.points.iter().map(|point| (x.place(point.x), y.place(point.y.median))).collect();
            svg.path(&places, number);
            let legend_y = TOP + number as f64 * LINE + 8.0;
            svg.bar((right + 14.0, legend_y - 5.0), (14.0, 10.0), number);
            svg.text(right + 34.0, legend_y + 4.0, Anchor::Start, "", &line.label);
        }
        svg.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::svg::tests::assert_well_formed;
    use crate::statistics::Spread;

    #[test]
    fn every_line_is_drawn_and_labelled() {
        let points = |factor: f64| {
            let numbers = [1.0, 10.0, 100.0];
            numbers.map(|x| Point { x, y: Spread::of(&[x * factor, x * factor * 2.0]) }).to_vec()
        };
        for scale in [Scale::Linear, Scale::Log] {
            let lines = Lines {
                name: "growth".to_owned(),
                title: "Growth".to_owned(),
                x: ("registered tasks".to_owned(), Scale::Log),
                y: ("latency, µs".to_owned(), scale),
                lines: vec![
                    Line { label: "p50".to_owned(), points: points(1.0) },
                    Line { label: "p99 <".to_owned(), points: points(3.0) },
                ],
            };
            let file = lines.svg();
            assert_well_formed(&file);
            assert_eq!(file.matches("<polyline").count(), 2);
            assert_eq!(file.matches("<circle").count(), 6);
            assert!(file.contains("registered tasks") && file.contains("latency, µs"), "{file}");
            assert!(file.contains("p99 &lt;"), "{file}");
        }
    }
}
