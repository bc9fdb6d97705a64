//! Pictures: a few shapes and texts, in colours for light and dark surroundings.

use std::fmt::Write as _;

/// The colours of series: distinguishable without colour vision (Okabe and Ito), and readable on both backgrounds.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7f7f7f"];

/// The height of a line of text.
pub(super) const LINE: f64 = 18.0;

/// A picture that is being drawn.
#[derive(Debug)]
pub(super) struct Svg {
    width: f64,
    height: f64,
    title: String,
    shapes: String,
}

/// The end of a text that stands at its place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub(super) fn new(width: f64, height: f64, title: &str) -> Self {
        Self { width, height, title: title.to_owned(), shapes: String::new() }
    }

    pub(super) fn text(&mut self, x: f64, y: f64, anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        self.add(&format!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{class}">{text}</text>"#
        ));
    }

    /// A text that is read from below.
    pub(super) fn text_upwards(&mut self, x: f64, y: f64, text: &str) {
        let text = escaped(text);
        self.add(&format!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="middle" transform="rotate(-90 {x:.1} {y:.1})">{text}</text>"#
        ));
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.add(&format!(r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" class="{class}"/>"#));
    }

    /// A bar, in the colour of a series.
    pub(super) fn bar(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), series: usize) {
        let colour = COLOURS[series % COLOURS.len()];
        self.add(&format!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{:.1}" height="{height:.1}" fill="{colour}"/>"#,
            width.max(0.0)
        ));
    }

    /// The line from the lowest to the highest figure of a point, in the colour of a series.
    pub(super) fn range(&mut self, x: f64, (from, to): (f64, f64), series: usize) {
        let colour = COLOURS[series % COLOURS.len()];
        self.add(&format!(
            r#"<line x1="{x:.1}" y1="{from:.1}" x2="{x:.1}" y2="{to:.1}" stroke="{colour}" stroke-width="4" opacity="0.35"/>"#
        ));
    }

    /// A line through points with a dot at each, in the colour of a series.
    pub(super) fn path(&mut self, points: &[(f64, f64)], series: usize) {
        let colour = COLOURS[series % COLOURS.len()];
        let places: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.add(&format!(r#"<polyline points="{}" class="series" stroke="{colour}"/>"#, places.join(" ")));
        for (x, y) in points {
            self.add(&format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#));
        }
    }

    fn add(&mut self, shape: &str) {
        self.shapes.push_str(shape);
        self.shapes.push('\n');
    }

    /// The file. It has a background of its own: a page may be dark where the reader's system is light.
    pub(super) fn finish(&self) -> String {
        let Self { width, height, title, shapes } = self;
        let title = escaped(title);
        let mut file = String::new();
        let _ = write!(
            file,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" role="img" aria-label="{title}">
<style>
text {{ font: 12px system-ui, "DejaVu Sans", sans-serif; fill: #24292f; }}
.title {{ font-size: 14px; font-weight: 600; }}
.group {{ font-weight: 600; }}
.faint {{ fill: #57606a; }}
.page {{ fill: #ffffff; stroke: #d0d7de; }}
.grid {{ stroke: #d8dee4; }}
.axis, .range {{ stroke: #57606a; }}
.series {{ fill: none; stroke-width: 2; }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3; }}
.faint {{ fill: #9da7b1; }}
.page {{ fill: #0d1117; stroke: #30363d; }}
.grid {{ stroke: #262c34; }}
.axis, .range {{ stroke: #9da7b1; }}
}}
</style>
<title>{title}</title>
<rect x="0.5" y="0.5" width="{:.1}" height="{:.1}" rx="6" class="page"/>
{shapes}</svg>
"#,
            width - 1.0,
            height - 1.0
        );
        file
    }
}

/// About the width of a text, for the layout only.
pub(super) fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * 7.0
}

/// Replaces what has a meaning in XML. Control characters cannot be in XML at all.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Fails unless every element is closed in its place, and every text and attribute is escaped.
    pub(in super::super) fn assert_well_formed(file: &str) {
        let mut open: Vec<&str> = Vec::new();
        let mut rest = file;
        while let Some(start) = rest.find('<') {
            let end = rest[start..].find('>').map(|end| start + end).expect("a tag ends");
            let (text, tag) = (&rest[..start], &rest[start + 1..end]);
            assert!(!text.contains('>') || open.last() == Some(&"style"), "`>` in `{text}`");
            for ampersand in text.match_indices('&').chain(tag.match_indices('&')) {
                let after = &file[file.find(ampersand.1).expect("found")..];
                assert!(after.contains(';'), "a bare `&`");
            }
            assert!(tag.matches('"').count().is_multiple_of(2), "quotes in `{tag}`");
            assert!(!tag.contains("NaN") && !tag.contains("inf"), "no number in `{tag}`");
            let name = tag.trim_start_matches('/').split([' ', '/']).next().expect("a name");
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "the end of `{name}`");
            } else if !tag.ends_with('/') {
                open.push(name);
            }
            rest = &rest[end + 1..];
        }
        assert_eq!(open, Vec::<&str>::new(), "all elements are closed");
        assert_eq!(rest, "\n");
    }

    #[test]
    fn texts_are_escaped() {
        let mut svg = Svg::new(100.0, 50.0, "a < \"b\" & c");
        svg.text(1.0, 2.0, Anchor::Start, "faint", "<script>&\u{1b}");
        svg.text_upwards(1.0, 2.0, "x > y");
        svg.bar((0.0, 0.0), (-1.0, 2.0), 100);
        svg.path(&[(0.0, 1.0), (2.0, 3.0)], 0);
        svg.line((0.0, 0.0), (1.0, 1.0), "axis");
        let file = svg.finish();
        assert_well_formed(&file);
        assert!(file.contains("<title>a &lt; &quot;b&quot; &amp; c</title>"), "{file}");
        assert!(file.contains("&lt;script&gt;&amp; </text>"), "{file}");
        assert!(file.contains("x &gt; y") && file.contains(r#"width="0.0""#), "{file}");
    }
}
