//! The report: sections with tables and plots, printed as text, and written as Markdown with SVG.

mod axis;
mod bars;
mod lines;
mod markdown;
mod svg;
mod table;

pub(crate) use bars::{Bar, Bars};
pub(crate) use lines::{Line, Lines, Point, Scale};
pub(crate) use markdown::Report;
pub(crate) use table::Table;

/// What a scenario has measured.
#[derive(Debug)]
pub(crate) struct Section {
    /// The heading, as in a sentence.
    pub(crate) title: String,
    /// What was measured and how, in Markdown.
    pub(crate) intro: String,
    pub(crate) tables: Vec<Table>,
    pub(crate) plots: Vec<Plot>,
    /// The figures of every round, for `raw.json`.
    pub(crate) samples: Vec<Samples>,
}

/// A plot, which becomes a file `NAME.svg`.
#[derive(Debug)]
pub(crate) enum Plot {
    Bars(Bars),
    Lines(Lines),
}

/// One figure of every round.
#[derive(Debug)]
pub(crate) struct Samples {
    /// Of whom, in which setting.
    pub(crate) what: String,
    /// The figure and its unit.
    pub(crate) figure: String,
    pub(crate) values: Vec<f64>,
}

impl Plot {
    /// The name of the file, without `.svg`.
    fn name(&self) -> &str {
        match self {
            Self::Bars(bars) => &bars.name,
            Self::Lines(lines) => &lines.name,
        }
    }

    /// The text in place of the picture.
    fn title(&self) -> &str {
        match self {
            Self::Bars(bars) => &bars.title,
            Self::Lines(lines) => &lines.title,
        }
    }

    fn svg(&self) -> String {
        match self {
            Self::Bars(bars) => bars.svg(),
            Self::Lines(lines) => lines.svg(),
        }
    }
}

impl Section {
    /// Prints its tables.
    pub(crate) fn print(&self) {
        print_line(&format!("\n{}\n", self.title));
        for table in &self.tables {
            print_line(&table.text());
        }
    }
}

#[expect(clippy::print_stdout, reason = "the report is the output of the benchmark")]
pub(crate) fn print_line(text: &str) {
    println!("{text}");
}

/// Says how far the benchmark is.
#[expect(clippy::print_stderr, reason = "it is not part of the report")]
pub(crate) fn progress(text: &str) {
    eprintln!("  … {text}");
}

/// Prints an error.
#[expect(clippy::print_stderr, reason = "the error that ends the program")]
pub(crate) fn print_error(problem: &str) {
    eprintln!("error: {problem}");
}
