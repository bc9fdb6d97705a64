//! Checks that dependencies point one way:
//! `rxon <- worker <- cli <- python`, `rxon <- dev-orchestrator <- cli`.

use serde_json::Value;

/// Each package of the workspace, with the other packages that it may depend on. The same holds for dependencies of
/// tests, except that any package may use `testkit` in its tests.
const ARROWS: [(&str, &[&str]); 11] = [
    ("rxon", &[]),
    ("avtomatika-worker", &["rxon", "avtomatika-worker-macros"]),
    // It writes paths into the worker by name, without depending on it; its example is compiled where it is exported.
    ("avtomatika-worker-macros", &[]),
    ("avtomatika-dev", &["rxon"]),
    ("avtomatika", &["rxon", "avtomatika-worker", "avtomatika-dev"]),
    ("avtomatika-python", &["rxon", "avtomatika-worker", "avtomatika-dev", "avtomatika"]),
    ("avtomatika-examples", &["rxon", "avtomatika-worker", "avtomatika-dev"]),
    // A package that `testkit` depended on would be compiled twice for that package's own tests.
    ("testkit", &[]),
    ("e2e", &["rxon", "avtomatika-worker", "avtomatika-dev", "testkit"]),
    ("page-tests", &["avtomatika-worker", "avtomatika-dev", "testkit"]),
    ("xtask", &[]),
];

/// Returns a sentence for each dependency that the list does not allow.
pub(super) fn broken(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    packages.iter().flat_map(broken_by).collect()
}

fn broken_by(package: &Value) -> Vec<String> {
    let name = text(&package["name"]);
    let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
        return vec![format!(
            "list the dependencies of the package `{name}` in `xtask/src/checks/direction.rs`"
        )];
    };
    let dependencies = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    // Only dependencies on packages of the workspace have a path.
    let ours = dependencies.iter().filter(|dependency| dependency["path"].is_string());
    ours.filter(|dependency| {
        let target = text(&dependency["name"]);
        // A package may depend on itself, so that its tests have more of its features.
        let allowed_in_tests = text(&dependency["kind"]) == "dev" && (target == "testkit" || target == name);
        !allowed.contains(&target) && !allowed_in_tests
    })
    .map(|dependency| {
        format!("`{name}` must not depend on `{}`, not even in tests", text(&dependency["name"]))
    })
    .collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, target: &str, kind: Option<&str>) -> Value {
        let dependency = json!({ "name": target, "kind": kind, "path": "/somewhere" });
        json!({ "packages": [{ "name": name, "dependencies": [dependency, { "name": "serde", "kind": null }] }] })
    }

    #[test]
    fn dependencies_that_are_not_listed_are_refused() {
        let cases = [
            ("avtomatika-worker", "rxon", None, true),
            ("avtomatika-worker", "avtomatika-dev", None, false),
            ("avtomatika-worker", "avtomatika-dev", Some("dev"), false),
            ("avtomatika-worker", "testkit", Some("dev"), true),
            ("avtomatika-worker", "testkit", None, false),
            ("avtomatika-dev", "avtomatika-worker", Some("dev"), false),
            ("rxon", "avtomatika-worker", Some("dev"), false),
            ("rxon", "testkit", Some("dev"), true),
            ("avtomatika", "avtomatika-dev", None, true),
            ("testkit", "rxon", None, false),
            ("newcomer", "rxon", None, false),
        ];
        for (name, target, kind, allowed) in cases {
            let broken = broken(&package(name, target, kind));
            assert_eq!(broken.is_empty(), allowed, "{name} -> {target} ({kind:?}): {broken:?}");
        }
    }
}
