//! A user's program beside the worker: it is compiled outside of the workspace, with a dependency that users often have, and
//! run.

use std::fs;

use crate::failure::{Failure, Result};
use crate::steps::Steps;
use crate::workspace::Workspace;

/// The ways in which users depend on reqwest.
const REQWEST: [&str; 2] =
    [r#"version = "0.13""#, r#"version = "0.13", default-features = false, features = ["rustls"]"#];

/// Makes a client, which panics if the features of our dependencies take its TLS away, beside a worker. Uses what needs a
/// feature that the program does not have: our own tests have them all.
const PROGRAM: &str = r#"use avtomatika_worker::prelude::*;

fn main() {
    let _client = reqwest::Client::new();
    let schema: serde_json::Value = "true".parse().unwrap();
    let declares = TaskOptions::new().event("found", schema.clone());
    let enforces = TaskOptions::new().input_schema(schema).enforce_schemas();
    for (options, used) in [
        (declares, "the event `found` (`TaskOptions::event`)"),
        (enforces, "a schema of the task `hello` (`TaskOptions::enforce_schemas`)"),
    ] {
        let error = Worker::builder::<()>().task_with("hello", options, hello).build().unwrap_err();
        let wanted = format!("{used} needs the feature `event-schemas` of `avtomatika-worker`, which is off");
        assert_eq!(error.to_string(), wanted);
    }
    Worker::builder::<()>().task("hello", hello).build().unwrap();
}

async fn hello() -> Result<(), TaskError> {
    Ok(())
}
"#;

/// Compiles and runs the program, each time with reqwest in another way.
pub(crate) fn run(steps: &mut Steps, workspace: &Workspace) -> Result {
    let target = workspace.target().join("users");
    for (number, reqwest) in REQWEST.iter().enumerate() {
        let package = target.join(format!("user-{number}"));
        let worker = workspace.root().join("crates/worker");
        let worker = worker.display();
        let manifest = format!(
            "[package]\nname = \"user-{number}\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
             avtomatika-worker = {{ path = \"{worker}\", default-features = false, features = [\"s3\"] }}\n\
             reqwest = {{ {reqwest} }}\n\
             serde_json = \"1\"\n"
        );
        let written = fs::create_dir_all(package.join("src"))
            .and_then(|()| fs::write(package.join("Cargo.toml"), manifest))
            .and_then(|()| fs::write(package.join("src/main.rs"), PROGRAM));
        written.map_err(|error| Failure::new(format!("cannot write `{}`: {error}", package.display())))?;
        let mut command = workspace.cargo(["run", "--quiet"]);
        command.current_dir(package).env("CARGO_TARGET_DIR", &target);
        steps.program("a user's program with reqwest", &mut command)?;
    }
    Ok(())
}
