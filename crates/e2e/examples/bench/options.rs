//! The options of a run of the benchmark.

use std::env;
use std::path::PathBuf;

use crate::arguments::{Arguments, number};
use crate::scenarios::{ALL, Scenario};

#[derive(Debug)]
pub(crate) struct Options {
    /// Whether figures are wanted soon rather than exact: fewer rounds, tasks and numbers of slots.
    pub(crate) is_quick: bool,
    /// The names of the scenarios to run; all if it is empty.
    only: Vec<String>,
    rounds: Option<usize>,
    tasks: Option<usize>,
    slots: Option<Vec<usize>>,
    /// The size of the large object of the scenario `files`, in MiB.
    pub(crate) mib: Option<usize>,
    /// The number of small objects of the scenario `files`.
    pub(crate) objects: Option<usize>,
    /// The interpreters of environments with this workspace's package, one for each version of Python.
    pub(crate) pythons: Vec<Interpreter>,
    /// The interpreters of environments with the existing packages, one for each version of the package.
    pub(crate) existing: Vec<Interpreter>,
    /// The directory for files, on a real disk.
    pub(crate) scratch: PathBuf,
    /// The directory in which the report is written, as `benchmarks.md`. `None` if it is only printed.
    pub(crate) report: Option<PathBuf>,
    /// The options as they were typed.
    pub(crate) typed: String,
}

/// An interpreter of Python, in an environment with one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// The version of Python, or of the package.
    pub(crate) version: String,
    pub(crate) program: PathBuf,
}

impl Options {
    /// `cargo xtask bench` also passes `--python VERSION=PROGRAM` and `--existing VERSION=PROGRAM`, each as often as
    /// needed, `--scratch DIRECTORY` and `--report DIRECTORY`.
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        let mut arguments = Arguments::new(words);
        let slots = arguments.option("--slots")?;
        let slots = slots.map(|list| list.split(',').map(number).collect::<Result<_, _>>()).transpose()?;
        let report = arguments.option("--report")?.map(PathBuf::from);
        let options = Self {
            is_quick: arguments.flag("--quick"),
            only: arguments.options("--only")?.into_iter().map(str::to_owned).collect(),
            rounds: arguments.number("--rounds")?,
            tasks: arguments.number("--tasks")?,
            slots,
            mib: arguments.number("--mib")?,
            objects: arguments.number("--objects")?,
            pythons: Interpreter::parse_all(&arguments.options("--python")?)?,
            existing: Interpreter::parse_all(&arguments.options("--existing")?)?,
            scratch: arguments.option("--scratch")?.map_or_else(env::temp_dir, PathBuf::from),
            // A part of the report would replace the whole one.
            report: report.filter(|_| !words.contains(&"--only")),
            typed: typed(words),
        };
        let [] = arguments.words("options only")?;
        if let Some(unknown) = options.only.iter().find(|name| ALL.iter().all(|known| known.name != **name)) {
            let known: Vec<&str> = ALL.iter().map(|scenario| scenario.name).collect();
            return Err(format!("`{unknown}` is no scenario, expected one of: {}", known.join(", ")));
        }
        Ok(options)
    }

    pub(crate) fn scenarios(&self) -> impl Iterator<Item = &'static Scenario> {
        ALL.iter()
            .filter(|scenario| self.only.is_empty() || self.only.iter().any(|name| name == scenario.name))
    }

    /// The number of rounds: `--rounds`, or as many as usual.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.is_quick { 3 } else { 5 })
    }

    /// The number of tasks that a client does in one round: `--tasks`, or as many as take most of a second. One slot is
    /// slower than several, so a third of them is enough for it.
    pub(crate) fn tasks(&self, slots: usize) -> usize {
        let all = self.tasks.unwrap_or(if self.is_quick { 6_000 } else { 10_000 });
        if slots == 1 { all.div_ceil(3) } else { all }
    }

    /// The numbers of slots: `--slots`, or these; `--quick` takes only the second list.
    pub(crate) fn slots(&self, usual: &[usize], quick: &[usize]) -> Vec<usize> {
        let own = || if self.is_quick { quick.to_vec() } else { usual.to_vec() };
        self.slots.clone().unwrap_or_else(own)
    }
}

impl Interpreter {
    fn parse_all(words: &[&str]) -> Result<Vec<Self>, String> {
        let parse = |word: &&str| {
            let (version, program) =
                word.split_once('=').ok_or_else(|| format!("`{word}` is not VERSION=PROGRAM"))?;
            Ok(Self { version: version.to_owned(), program: PathBuf::from(program) })
        };
        words.iter().map(parse).collect()
    }
}

/// The options without those that `cargo xtask bench` adds: these have paths of this machine.
fn typed(words: &[&str]) -> String {
    const ADDED: [&str; 4] = ["--python", "--existing", "--scratch", "--report"];
    let mut typed = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if ADDED.contains(word) {
            words.next();
        } else {
            typed.push(*word);
        }
    }
    typed.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_its_place() {
        let words = "--quick --rounds 2 --tasks 90 --slots 1,20 --python 3.11=/a/python --existing 1.0b4=/b/python \
                     --scratch /s --report /r --mib 3 --objects 4";
        let words: Vec<&str> = words.split_whitespace().collect();
        let options = Options::parse(&words).unwrap();
        assert_eq!((options.rounds(), options.tasks(10), options.tasks(1)), (2, 90, 30));
        assert_eq!(options.slots(&[7], &[8]), [1, 20]);
        let python = Interpreter { version: "3.11".to_owned(), program: "/a/python".into() };
        assert_eq!(options.pythons, [python]);
        assert_eq!(options.existing.len(), 1);
        assert_eq!((options.scratch, options.report), ("/s".into(), Some("/r".into())));
        assert_eq!((options.mib, options.objects), (Some(3), Some(4)));
        assert_eq!(options.typed, "--quick --rounds 2 --tasks 90 --slots 1,20 --mib 3 --objects 4");
    }

    #[test]
    fn a_part_of_the_report_is_only_printed() {
        let options = Options::parse(&["--only", "throughput", "--report", "/r"]).unwrap();
        assert_eq!(options.scenarios().map(|scenario| scenario.name).collect::<Vec<_>>(), ["throughput"]);
        assert_eq!(options.report, None);
        assert_eq!(Options::parse(&[]).unwrap().scenarios().count(), ALL.len());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let problem = |words: &[&str]| Options::parse(words).unwrap_err();
        assert!(problem(&["--only", "nothing"]).starts_with("`nothing` is no scenario, expected one of: "));
        assert_eq!(problem(&["--slots", "1,x"]), "`x` is not a number above 0");
        assert_eq!(problem(&["--unknown"]), "unknown option `--unknown`");
        assert_eq!(problem(&["--python", "3.11"]), "`3.11` is not VERSION=PROGRAM");
    }
}
