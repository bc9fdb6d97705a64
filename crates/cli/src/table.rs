//! Tables, and the texts in them.

use rxon::text::one_line;

use crate::output::{Paint, Style};

/// A table with aligned columns, separated by two spaces.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
}

/// A cell.
#[derive(Debug)]
pub(crate) struct Cell {
    text: String,
    style: Option<Style>,
}

impl Cell {
    /// A cell with a style.
    pub(crate) fn styled(text: impl Into<String>, style: Option<Style>) -> Self {
        Self { text: one_line(&text.into()).into_owned(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, None)
    }
}

impl Table {
    /// Makes a table with these headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        let headings = headings.iter().map(|heading| Cell::styled(*heading, Some(Style::Bold)));
        Self { rows: vec![headings.collect()] }
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, row: impl IntoIterator<Item = Cell>) {
        self.rows.push(row.into_iter().collect());
    }

    /// Returns the lines.
    pub(crate) fn lines(&self, paint: Paint) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.text.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        self.rows.iter().map(|row| line(row, &widths, paint)).collect()
    }
}

fn line(row: &[Cell], widths: &[usize], paint: Paint) -> String {
    let mut line = String::new();
    for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
        match cell.style {
            Some(style) if !cell.text.is_empty() => line += &paint.apply(style, &cell.text).to_string(),
            _ => line += &cell.text,
        }
        let has_more = row[index + 1..].iter().any(|cell| !cell.text.is_empty());
        if !has_more {
            break;
        }
        line.extend(std::iter::repeat_n(' ', width - cell.text.chars().count() + 2));
    }
    line
}

/// Returns a duration for people: `0.42 s`, `12.3 s`, `3 min 5 s`, `2 h 4 min`. Negative ones are zero.
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    let whole = seconds.round() as u64;
    match seconds {
        ..9.995 => format!("{seconds:.2} s"),
        ..59.95 => format!("{seconds:.1} s"),
        ..3599.5 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Returns the time of the day in UTC, to the millisecond.
pub(crate) fn time_of_day(unix_seconds: f64) -> String {
    let milliseconds = (unix_seconds.max(0.0) * 1000.0).round() as u64 % 86_400_000;
    let seconds = milliseconds / 1000;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{:03}Z", seconds % 60, milliseconds % 1000)
}

/// Returns the present time, in seconds since 1970.
pub(crate) fn now() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_spaces_at_their_end() {
        let mut table = Table::new(&["Id", "Status", "Error"]);
        table.add(["job-1".into(), Cell::styled("finished", Some(Style::Green)), "".into()]);
        table.add(["ü".into(), "failed".into(), "a\nb\u{1b}[2J".into()]);
        let lines = table.lines(Paint::NONE);
        assert_eq!(lines, ["Id     Status    Error", "job-1  finished", r"ü      failed    a\nb\u{1b}[2J"]);
    }

    #[test]
    fn durations_are_readable_and_never_negative() {
        for (seconds, text) in [
            (-1.0, "0.00 s"),
            (0.42, "0.42 s"),
            (9.999, "10.0 s"),
            (12.34, "12.3 s"),
            (59.96, "1 min 0 s"),
            (185.2, "3 min 5 s"),
            (7_440.0, "2 h 4 min"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn times_of_the_day_are_in_utc() {
        assert_eq!(time_of_day(86_400.0 * 365.0 + 3_725.25), "01:02:05.250Z");
    }
}
