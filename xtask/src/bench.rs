//! `cargo xtask bench`: the benchmarks, as they are distributed: with LTO.

use crate::browser;
use crate::environment::{self, Environment};
use crate::failure::{Failure, Result};
use crate::package;
use crate::python::Python;
use crate::steps::Steps;
use crate::workspace::Workspace;

/// The versions of the existing package, which are compared with ours. Alone in their environments: other installed
/// packages would count as their memory.
const EXISTING: [(&str, &str, &str); 2] = [
    ("1.0b4", "avtomatika-worker-1.0b4", "avtomatika-worker==1.0b4"),
    ("1.0b20", "avtomatika-worker-1.0b20", "avtomatika-worker==1.0b20"),
];

/// The scenarios that need Python.
const PYTHON: [&str; 4] = ["idle", "latency", "python", "start"];

/// The scenario that is not a part of the benchmark's program, since a browser takes part.
const PAGE: &str = "page";

/// The Python with which the existing packages were published, and with which all are compared.
const USUAL: (u32, u32) = (3, 11);

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result {
    let (profile, options) = profile(arguments)?;
    let mut steps = Steps::begin();
    let has_page = needs(&options, &[PAGE]);
    let others = without_page(&options);
    if !options.contains(&"--only") || others.contains(&"--only") {
        run_program(&mut steps, workspace, profile, &others)?;
    }
    if has_page { page(&mut steps, workspace) } else { Ok(()) }
}

/// Measures all but the page.
fn run_program(steps: &mut Steps, workspace: &Workspace, profile: &str, options: &[&str]) -> Result {
    let build = ["build", "--profile", profile, "--package", "e2e", "--example", "bench"];
    steps.program("benchmark: build", &mut workspace.cargo(build))?;
    if needs(options, &["dev"]) {
        // By itself, so that it has the features with which it is distributed.
        let build = ["build", "--profile", profile, "--package", "avtomatika"];
        steps.program("benchmark: build the command line", &mut workspace.cargo(build))?;
    }
    // Cargo names one directory differently from its profile.
    let folder = if profile == "dev" { "debug" } else { profile };
    let mut benchmark = std::process::Command::new(workspace.target().join(folder).join("examples/bench"));
    benchmark.current_dir(workspace.root()).args(options);
    if needs(options, &PYTHON) {
        for argument in interpreters(steps, workspace, profile)? {
            benchmark.arg(argument);
        }
    }
    let scratch = workspace.target().join("bench");
    std::fs::create_dir_all(&scratch)
        .map_err(|error| Failure::new(format!("cannot make `{}`: {error}", scratch.display())))?;
    benchmark.arg("--scratch").arg(scratch).arg("--report").arg(workspace.root().join("docs"));
    steps.program("benchmark", &mut benchmark)
}

/// Prints how fast a browser draws the page.
fn page(steps: &mut Steps, workspace: &Workspace) -> Result {
    steps.step("benchmark: browser", "cargo xtask setup", browser::install)?;
    let figures = ["run", "--release", "--package", "page-tests", "--example", "figures"];
    steps.last_program("benchmark: the page", &mut workspace.cargo(figures))
}

/// The options without those that choose the page.
fn without_page<'a>(options: &[&'a str]) -> Vec<&'a str> {
    let mut left = Vec::new();
    let mut words = options.iter().copied().peekable();
    while let Some(word) = words.next() {
        if word == "--only" && words.next_if_eq(&PAGE).is_some() {
            continue;
        }
        left.push(word);
    }
    left
}

/// Takes `--profile PROFILE` from the arguments.
fn profile(arguments: &[String]) -> Result<(&str, Vec<&str>)> {
    let mut options: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(place) = options.iter().position(|option| *option == "--profile") else {
        return Ok(("dist", options));
    };
    let profile = *options.get(place + 1).ok_or_else(|| Failure::usage("`--profile` needs a value"))?;
    options.drain(place..place + 2);
    Ok((profile, options))
}

/// Whether the options choose one of these scenarios: by name, or by no name.
fn needs(options: &[&str], scenarios: &[&str]) -> bool {
    let chosen = |pair: &[&str]| (pair[0] == "--only").then_some(scenarios.contains(&pair[1]));
    let mut only = options.windows(2).filter_map(chosen).peekable();
    only.peek().is_none() || only.any(|is_one| is_one)
}

/// Installs our package for each version of Python, and the existing ones. Returns the options that name them.
fn interpreters(steps: &mut Steps, workspace: &Workspace, profile: &str) -> Result<Vec<String>> {
    let pythons = pythons()?;
    let usual = pythons.first().expect("at least one was found");
    let tools = package::environment(workspace)?;
    let ours: Vec<Environment> = pythons
        .iter()
        .map(|python| {
            let name = format!("python-bench-{}", python.version());
            Environment::empty(workspace, &name).with_python(python.clone())
        })
        .collect();
    let existing = EXISTING.map(|(_, name, package)| {
        Environment::of_package(workspace, name, package).with_python(usual.clone())
    });
    steps.step("Python: environments", "cargo xtask bench --only python", || {
        let tools = std::slice::from_ref(&tools);
        environment::install(workspace, tools)?;
        environment::install(workspace, &ours)?;
        environment::install(workspace, &existing)
    })?;
    let wheel = package::build_wheel(steps, workspace, &tools, &tools, profile)?;
    let mut options = Vec::new();
    let mut add = |option: &str, version: &str, environment: &Environment| {
        let program = environment.program("python").get_program().to_string_lossy().into_owned();
        options.extend([option.to_owned(), format!("{version}={program}")]);
    };
    for (python, environment) in pythons.iter().zip(&ours) {
        package::install(steps, workspace, environment, &wheel)?;
        add("--python", &python.version(), environment);
    }
    for ((version, ..), environment) in EXISTING.iter().zip(&existing) {
        add("--existing", version, environment);
    }
    Ok(options)
}

/// The usual Python, or else the oldest that there is, and the newest.
fn pythons() -> Result<Vec<Python>> {
    let mut all = Python::find_all();
    if all.is_empty() {
        // Installs what is missing, or says what to install.
        all.push(Python::find()?);
    }
    let usual = all.iter().position(|python| python.is_version(USUAL)).unwrap_or(0);
    let newest = all.len() - 1;
    let chosen = if usual == newest { vec![usual] } else { vec![usual, newest] };
    Ok(chosen.into_iter().map(|place| all[place].clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_taken_out() {
        let arguments = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let given = arguments("--quick --profile release --only log");
        assert_eq!(profile(&given).unwrap(), ("release", vec!["--quick", "--only", "log"]));
        assert_eq!(profile(&arguments("--quick")).unwrap(), ("dist", vec!["--quick"]));
        assert!(profile(&arguments("--profile")).is_err());
    }

    #[test]
    fn the_page_is_measured_beside_the_program() {
        let options = ["--only", "page", "--quick", "--only", "log"];
        assert_eq!(without_page(&options), ["--quick", "--only", "log"]);
        assert!(without_page(&options[..2]).is_empty());
        assert!(needs(&options, &[PAGE]) && needs(&[], &[PAGE]) && !needs(&options[2..], &[PAGE]));
    }

    #[test]
    fn python_is_needed_by_some_scenarios() {
        assert!(needs(&[], &PYTHON) && needs(&["--quick"], &PYTHON));
        assert!(needs(&["--only", "log", "--only", "python"], &PYTHON));
        assert!(needs(&["--only", "idle"], &PYTHON));
        assert!(!needs(&["--quick", "--only", "log"], &PYTHON));
    }
}
