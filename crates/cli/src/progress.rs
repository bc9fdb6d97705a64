//! The progress of several tasks: a bar for each if lines can be redrawn, else plain lines.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Printer;

/// The rows of all tasks.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    printer: &'a Printer,
    /// Arranges the bars; `None` for plain lines.
    bars: Option<MultiProgress>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    bar: Option<ProgressBar>,
    /// The last known progress, from 0.0 to 1.0.
    fraction: f64,
    /// The last message.
    message: String,
}

impl<'a> Progress<'a> {
    /// Makes rows with these names, at 0. Without `bars`, prints plain lines even if bars could be drawn.
    pub(crate) fn new(printer: &'a Printer, bars: bool, names: &[&str]) -> Self {
        let multi = (bars && printer.redraws())
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(30)));
        let width = names.iter().map(|name| name.len()).max().unwrap_or_default();
        let rows = names
            .iter()
            .map(|name| Row {
                name: (*name).to_owned(),
                bar: multi.as_ref().map(|multi| multi.add(bar(&format!("{name:width$}")))),
                fraction: 0.0,
                message: String::new(),
            })
            .collect();
        Self { printer, bars: multi, rows }
    }

    /// Shows the progress of a task, from 0.0 to 1.0, with a message. A plain line is printed only for a new message.
    pub(crate) fn set(&mut self, index: usize, fraction: f64, message: &str) {
        let Some(row) = self.rows.get_mut(index) else { return };
        row.fraction = fraction.clamp(0.0, 1.0);
        let percent = (row.fraction * 100.0).round() as u64;
        let changed = row.message != message;
        if changed {
            message.clone_into(&mut row.message);
        }
        match &row.bar {
            Some(bar) => {
                bar.set_position(percent);
                bar.set_message(row.message.clone());
            }
            None if changed => self.printer.note(format_args!("{}: {message} ({percent}%)", row.name)),
            None => {}
        }
    }

    /// Shows the end of a task.
    pub(crate) fn end(&mut self, index: usize, success: bool, message: &str) {
        let reached = self.rows.get(index).map_or(0.0, |row| row.fraction);
        self.set(index, if success { 1.0 } else { reached }, message);
    }

    /// Does something that prints, while no bar is in the way.
    pub(crate) fn suspend<T>(&self, act: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(act),
            None => act(),
        }
    }

    /// Ends the display, and leaves the bars as they are.
    pub(crate) fn finish(self) {
        for bar in self.rows.iter().filter_map(|row| row.bar.as_ref()) {
            bar.abandon();
        }
        if self.bars.is_some() {
            // The last bar does not end its line.
            self.printer.note("");
        }
    }
}

/// Makes a bar for one task.
pub(crate) fn bar(name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix}  [{bar:32}] {pos:>3}%  {msg}")
        .expect("the template is valid")
        .progress_chars("=> ");
    ProgressBar::with_draw_target(Some(100), ProgressDrawTarget::hidden())
        .with_style(style)
        .with_prefix(name.to_owned())
}
