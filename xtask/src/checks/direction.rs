//! Dependencies point one way: `rxon <- worker <- {python, cli}`, `rxon <- dev-orchestrator <- {cli, python}`.

use serde_json::Value;

/// Each package of the workspace and those of the others it may see. Tests obey the same arrows, but any of
/// them may use `testkit`.
const ARROWS: [(&str, &[&str]); 9] = [
    ("rxon", &[]),
    ("avtomatika-worker", &["rxon"]),
    ("avtomatika-dev", &["rxon"]),
    ("avtomatika", &["rxon", "avtomatika-worker", "avtomatika-dev"]),
    ("avtomatika-python", &["rxon", "avtomatika-worker", "avtomatika-dev"]),
    ("avtomatika-examples", &["rxon", "avtomatika-worker", "avtomatika-dev"]),
    // It is a test's only: what it depended on would be compiled twice in the tests of that package.
    ("testkit", &[]),
    ("e2e", &["rxon", "avtomatika-worker", "avtomatika-dev", "testkit"]),
    ("xtask", &[]),
];

/// A sentence for each dependency against the arrows.
pub(super) fn broken(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    packages.iter().flat_map(broken_by).collect()
}

fn broken_by(package: &Value) -> Vec<String> {
    let name = text(&package["name"]);
    let Some((_, seen)) = ARROWS.iter().find(|(known, _)| *known == name) else {
        return vec![format!(
            "say in `xtask/src/checks/direction.rs` what the package `{name}` may depend on"
        )];
    };
    let dependencies = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    // Only packages of the workspace are found by a path.
    let ours = dependencies.iter().filter(|dependency| dependency["path"].is_string());
    ours.filter(|dependency| {
        let target = text(&dependency["name"]);
        // On itself: its own tests, with more of its features.
        let allowed_in_tests = text(&dependency["kind"]) == "dev" && (target == "testkit" || target == name);
        !seen.contains(&target) && !allowed_in_tests
    })
    .map(|dependency| {
        format!("`{name}` must not depend on `{}`, in tests neither", text(&dependency["name"]))
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
    fn the_arrows_are_kept() {
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
