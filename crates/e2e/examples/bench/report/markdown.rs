//! The report as Markdown, with its plots and raw figures beside it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Section, Table};

/// The directory of plots and raw figures, beside the report.
const DIRECTORY: &str = "benchmarks";

const HEAD: &str = include_str!("head.md");

/// The whole report.
#[derive(Debug)]
pub(crate) struct Report {
    /// The machine and the tools.
    pub(crate) facts: Table,
    pub(crate) sections: Vec<Section>,
}

impl Report {
    /// Writes `benchmarks.md` and the directory `benchmarks` in `directory`.
    pub(crate) fn write(&self, directory: &Path) -> Result<(), String> {
        let beside = directory.join(DIRECTORY);
        // Plots of scenarios that exist no more would stay.
        match fs::remove_dir_all(&beside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.to_string()),
            _ => {}
        }
        let write = |path: &Path, text: String| {
            fs::write(path, text).map_err(|error| format!("cannot write `{}`: {error}", path.display()))
        };
        fs::create_dir_all(&beside).map_err(|error| error.to_string())?;
        for plot in self.sections.iter().flat_map(|section| &section.plots) {
            write(&beside.join(format!("{}.svg", plot.name())), plot.svg())?;
        }
        write(&beside.join("raw.json"), self.raw())?;
        write(&directory.join("benchmarks.md"), self.markdown())
    }

    fn markdown(&self) -> String {
        let mut text = HEAD.replace("{facts}", self.facts.markdown().trim_end());
        for section in &self.sections {
            text.push_str(&format!("\n## {}\n\n{}\n", section.title, section.intro.trim_end()));
            for plot in &section.plots {
                text.push_str(&format!("\n![{}]({DIRECTORY}/{}.svg)\n", plot.title(), plot.name()));
            }
            for table in &section.tables {
                text.push_str(&format!("\n{}", table.markdown()));
            }
        }
        text
    }

    /// One line for each figure, so that a change of one is a change of one line.
    fn raw(&self) -> String {
        let lines = self.sections.iter().flat_map(|section| {
            section.samples.iter().map(|samples| {
                let values: Vec<Value> = samples.values.iter().map(|value| json!(rounded(*value))).collect();
                json!([section.title, samples.what, samples.figure, values]).to_string()
            })
        });
        format!("[\n{}\n]\n", lines.collect::<Vec<_>>().join(",\n"))
    }
}

/// The value with five significant digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::super::{Bars, Plot, Samples};
    use super::*;

    #[test]
    fn everything_of_a_section_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let old = directory.path().join("benchmarks/old.svg");
        fs::create_dir_all(old.parent().unwrap()).unwrap();
        fs::write(&old, "").unwrap();
        let plot = Bars {
            name: "plot-1".to_owned(),
            title: "A plot".to_owned(),
            unit: "s".to_owned(),
            bars: Vec::new(),
        };
        let section = Section {
            title: "Empty tasks".to_owned(),
            intro: "Nothing is done.".to_owned(),
            tables: vec![Table::new("Figures", &["client"])],
            plots: vec![Plot::Bars(plot)],
            samples: vec![Samples {
                what: "a worker".to_owned(),
                figure: "tasks/s".to_owned(),
                values: vec![1.0, 12_345.678_9],
            }],
        };
        let report = Report { facts: Table::new("Measured on", &["what"]), sections: vec![section] };
        report.write(directory.path()).unwrap();
        let text = fs::read_to_string(directory.path().join("benchmarks.md")).unwrap();
        for part in ["Measured on:", "\n## Empty tasks\n\nNothing is done.\n", "| client |"] {
            assert!(text.contains(part), "`{part}` in {text}");
        }
        assert!(text.contains("![A plot](benchmarks/plot-1.svg)"), "{text}");
        assert!(directory.path().join("benchmarks/plot-1.svg").exists() && !old.exists());
        let raw: Value =
            fs::read_to_string(directory.path().join("benchmarks/raw.json")).unwrap().parse().unwrap();
        assert_eq!(raw, json!([["Empty tasks", "a worker", "tasks/s", [1.0, 12_346.0]]]));
    }
}
