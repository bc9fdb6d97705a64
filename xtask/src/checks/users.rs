//! Checks that no dependency of a published package changes what a user's own dependencies do.
//!
//! Cargo unites the features of a crate that several packages depend on. A feature that takes something away, as
//! `rustls-no-provider` of reqwest does, then takes it away from the user's program as well.

use std::process::Stdio;

use crate::failure::{Failure, Result};
use crate::workspace::Workspace;

/// The packages that users depend on.
const PUBLISHED: [&str; 4] = ["rxon", "avtomatika-worker", "avtomatika-dev", "avtomatika"];

/// Crates that users are likely to depend on with features of their own choice.
const USERS_OWN: [&str; 1] = ["reqwest"];

/// Returns a sentence for each dependency that would change a user's program.
pub(super) fn broken(workspace: &Workspace) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for package in PUBLISHED {
        let shape = ["--edges", "normal", "--all-features", "--prefix", "none", "--format", "{p} {f}"];
        let mut command = workspace.cargo(["tree", "--package", package].into_iter().chain(shape));
        let answer = command.stdin(Stdio::null()).output();
        let answer = answer.map_err(|error| Failure::new(format!("cannot run `cargo tree`: {error}")))?;
        if !answer.status.success() {
            let errors = String::from_utf8_lossy(&answer.stderr);
            return Err(Failure::of_program(format!("`cargo tree` failed: {errors}"), answer.status));
        }
        let tree = String::from_utf8_lossy(&answer.stdout);
        broken.extend(tree.lines().filter_map(|line| harm(package, line)));
    }
    broken.sort();
    broken.dedup();
    Ok(broken)
}

/// Returns a sentence about a line of the tree: name, version, features.
fn harm(package: &str, line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    if USERS_OWN.contains(&name) {
        return Some(format!(
            "`{package}` depends on `{name}`, whose features would count for its users too"
        ));
    }
    let taken = line.split([' ', ',']).find(|word| word.contains("no-provider"))?;
    Some(format!(
        "`{package}` depends on `{name}` with the feature `{taken}`, which takes something from its users"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_a_users_program_is_named() {
        for (line, is_harmful) in [
            ("reqwest v0.13.5 http2,stream", true),
            ("hyper-rustls v0.27.1 http1,rustls-no-provider", true),
            ("rustls v0.23.46 ring,std,tls12", false),
            ("object_store v0.14.2 aws-base,ring (*)", false),
            ("", false),
        ] {
            assert_eq!(harm("p", line).is_some(), is_harmful, "{line}");
        }
    }
}
