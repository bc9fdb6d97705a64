//! The browser in which the page of the development server is tested, and axe-core, which looks for what keeps people
//! from using it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::apt;
use crate::failure::{Failure, Result};
use crate::output::print_line;
use crate::registry;
use crate::workspace::Workspace;

/// The packages of Debian; the programs of the browser and of its driver have other names.
const PACKAGES: [&str; 2] = ["chromium", "chromium-driver"];
const PROGRAMS: [&str; 2] = ["chromium", "chromedriver"];

const AXE: &str = "https://registry.npmjs.org/axe-core/-/axe-core-4.14.1.tgz";
const AXE_INTEGRITY: &str =
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==";
/// How the file of that version begins.
const AXE_BEGINNING: &str = "/*! axe v4.14.1";

/// Makes sure that there is a Chromium with its driver. On Debian as root, installs it.
pub(crate) fn install() -> Result {
    if PROGRAMS.into_iter().all(is_installed) {
        return Ok(());
    }
    if !apt::is_usable() {
        return Err(missing());
    }
    print_line(&format!("Browser: installing {} with apt-get", PACKAGES.join(" and ")));
    apt::update()?;
    PACKAGES.into_iter().try_for_each(apt::install)?;
    if PROGRAMS.into_iter().all(is_installed) { Ok(()) } else { Err(missing()) }
}

/// Makes sure that there is axe-core in `target`.
pub(crate) fn install_axe(workspace: &Workspace) -> Result {
    let folder = workspace.target().join("axe-core");
    let file = folder.join("axe.min.js");
    if fs::read_to_string(&file).is_ok_and(|text| text.starts_with(AXE_BEGINNING)) {
        return Ok(());
    }
    print_line("axe-core: downloading it from the npm registry");
    get_axe(&folder, &file)
}

fn get_axe(folder: &Path, file: &Path) -> Result {
    let failure =
        |error: std::io::Error| Failure::new(format!("cannot write `{}`: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failure)?;
    let archive = folder.join("axe-core.tgz");
    registry::download(AXE, &archive)?;
    registry::check_integrity(&fs::read(&archive).map_err(failure)?, AXE_INTEGRITY)?;
    fs::write(file, registry::read(&archive, "package/axe.min.js")?).map_err(failure)
}

fn is_installed(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn missing() -> Failure {
    Failure::new(format!(
        "no `{}` or no `{}`: the page of the development server is tested in them\n\
         hint: apt-get install {}, or leave these tests out with `cargo xtask test --no-e2e`",
        PROGRAMS[0],
        PROGRAMS[1],
        PACKAGES.join(" ")
    ))
}
