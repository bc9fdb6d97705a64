//! Checks the imports between rooms, the modules at the root of a crate. A room may import only rooms on lower floors;
//! the files of a room must not import each other in a circle; and no import may go through the crate's root.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The rooms of a crate, from the lowest floor to the highest. Rooms of one floor must not import each other.
struct House {
    /// The folder of the crate's sources.
    sources: &'static str,
    floors: &'static [&'static [&'static str]],
}

const HOUSES: [House; 3] = [
    House {
        sources: "crates/worker/src",
        floors: &[
            &["threads"],
            &["config"],
            &["logging", "peer", "capacity", "files"],
            &["task"],
            &["delivery"],
            &["execution"],
            &["session"],
            &["health"],
            &["worker"],
            &["testing", "prelude", "lib"],
        ],
    },
    House {
        sources: "crates/rxon/src",
        floors: &[
            &["backoff", "descriptors", "secrets", "error", "json", "limit"],
            &["text"],
            &["id"],
            &["model"],
            &["signing"],
            &["transport"],
            &["conformance", "lib"],
        ],
    },
    House {
        sources: "crates/testkit/src",
        floors: &[
            &["patience", "stopwatch", "stream", "task", "tls"],
            &["door", "capture", "process"],
            &["faults", "orchestrator", "proxy", "relay"],
            &["lib"],
        ],
    },
];

/// The text of each file without comments and unit tests, by its path below the folder of the sources.
type Sources = BTreeMap<String, String>;

/// Returns a sentence for each import of a room that is not below, through a crate's root, or in a circle.
pub(super) fn broken(root: &Path) -> Vec<String> {
    HOUSES
        .iter()
        .flat_map(|house| {
            let folder = root.join(house.sources);
            let mut sources = Sources::new();
            read(&folder, &folder, &mut sources);
            problems(house, &sources)
        })
        .collect()
}

fn read(folder: &Path, root: &Path, sources: &mut Sources) {
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
        if path.is_dir() && !is_test {
            read(&path, root, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !is_test
            && let Ok(text) = fs::read_to_string(&path)
        {
            sources.insert(name, code(&text));
        }
    }
}

/// Returns the text without comments and without the code for tests, which may import rooms above their own.
fn code(text: &str) -> String {
    let mut lines = Vec::new();
    let mut is_for_tests = false;
    for line in text.lines() {
        if line.starts_with("mod tests {") {
            break;
        }
        let trimmed = line.trim_start();
        if trimmed.starts_with("#[cfg(test)]") {
            is_for_tests = true;
        } else if !trimmed.starts_with("//") && !std::mem::take(&mut is_for_tests) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

fn problems(house: &House, sources: &Sources) -> Vec<String> {
    let floor = |room: &str| house.floors.iter().position(|floor| floor.contains(&room));
    let mut problems = Vec::new();
    for (file, text) in sources {
        let here = room(file);
        let place = format!("`{}/{file}`", house.sources);
        let Some(own) = floor(here) else {
            problems.push(format!("{place}: name the room `{here}` in `xtask/src/checks/rooms.rs`"));
            continue;
        };
        // These re-export names of all rooms.
        if ["lib", "prelude"].contains(&here) {
            continue;
        }
        for path in paths(file, text) {
            let Some(first) = path.first() else { continue };
            match floor(first) {
                None if is_of_root(first) => problems.push(format!(
                    "{place} imports through the crate's root (`crate::{first}`): name its module"
                )),
                Some(theirs) if theirs >= own && first != here => {
                    problems.push(format!("{place} imports `{first}`, which is not below `{here}`"));
                }
                _ => {}
            }
        }
    }
    problems.extend(circles(house, sources));
    problems.sort();
    problems.dedup();
    problems
}

/// Returns whether a name after `crate::` is not the name of a room: a type, a group or a glob.
fn is_of_root(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_uppercase() || letter == '{' || letter == '*')
}

/// Returns the room of a file.
fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// Returns the path of a file's module, from the crate's root.
fn module(file: &str) -> Vec<&str> {
    let mut names: Vec<_> = file.trim_end_matches(".rs").split('/').collect();
    names.pop_if(|last| *last == "mod" || *last == "lib");
    names
}

/// Returns the paths in a file, each from the crate's root.
fn paths(file: &str, text: &str) -> Vec<Vec<String>> {
    let module = module(file);
    let mut paths = Vec::new();
    for line in text.lines() {
        for (start, keyword) in ["crate::", "super::", "self::"].iter().flat_map(|keyword| {
            line.match_indices(keyword).map(|(start, _)| (start, *keyword)).collect::<Vec<_>>()
        }) {
            // A visibility is not an import.
            if line[..start].ends_with("pub(in ") {
                continue;
            }
            let before = line[..start].chars().next_back();
            // `$crate` and the second part of `super::super` are not the beginning of a path.
            if before.is_some_and(|before| before == '$' || before == ':' || before.is_alphanumeric()) {
                continue;
            }
            let mut rest = &line[start..];
            let mut path: Vec<String> = Vec::new();
            if keyword == "crate::" {
                rest = &rest["crate::".len()..];
            } else {
                path = module.iter().map(|name| (*name).to_owned()).collect();
                rest = rest.strip_prefix("self::").unwrap_or(rest);
                while let Some(after) = rest.strip_prefix("super::") {
                    path.pop();
                    rest = after;
                }
            }
            let names = rest.split(|letter: char| !(letter.is_alphanumeric() || "_:{*".contains(letter)));
            let names = names.take(1).flat_map(|names| names.split("::"));
            path.extend(names.filter(|name| !name.is_empty()).map(|name| name.replace("r#", "")));
            paths.push(path);
        }
    }
    paths
}

/// Returns a sentence for each circle of files.
fn circles(house: &House, sources: &Sources) -> Vec<String> {
    let modules: BTreeMap<Vec<&str>, &str> =
        sources.keys().filter(|file| *file != "lib.rs").map(|file| (module(file), file.as_str())).collect();
    let arrows: BTreeMap<&str, BTreeSet<&str>> = sources
        .iter()
        .map(|(file, text)| {
            let targets = paths(file, text).into_iter().filter_map(|path| {
                let names: Vec<_> = path.iter().map(String::as_str).collect();
                (1..=names.len()).rev().find_map(|length| modules.get(&names[..length]).copied())
            });
            (file.as_str(), targets.filter(|target| target != file).collect())
        })
        .collect();
    let reach = |from: &str| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&str> = arrows[from].iter().copied().collect();
        while let Some(file) = next.pop() {
            if seen.insert(file) {
                next.extend(&arrows[file]);
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        sources.keys().map(|file| (file.as_str(), reach(file))).collect();
    let mut circles = BTreeSet::new();
    for (file, seen) in &reached {
        if seen.contains(file) {
            let circle: Vec<_> =
                seen.iter().filter(|other| reached[**other].contains(file)).copied().collect();
            circles.insert(circle.join(", "));
        }
    }
    circles
        .into_iter()
        .map(|circle| format!("files of `{}` import each other: {circle}", house.sources))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUSE: House =
        House { sources: "src", floors: &[&["low"], &["middle", "beside"], &["high"], &["lib"]] };

    fn found(file: &str, text: &str) -> Vec<String> {
        let others = ["low/mod.rs", "middle/mod.rs", "beside/mod.rs", "high/mod.rs", "lib.rs"];
        let mut sources: Sources = others.map(|other| (other.to_owned(), String::new())).into();
        sources.insert(file.to_owned(), code(text));
        problems(&HOUSE, &sources)
    }

    #[test]
    fn an_import_of_a_higher_room_is_refused() {
        for (file, text, allowed) in [
            ("middle/a.rs", "use crate::low::Thing;", true),
            ("middle/a.rs", "use super::Thing;", true),
            ("middle/a.rs", "    let thing = crate::low::thing();", true),
            ("middle/a.rs", "use crate::high::Thing;", false),
            ("middle/a.rs", "use crate::beside::Thing;", false),
            ("middle/a.rs", "    let thing = crate::high::thing();", false),
            ("middle/mod.rs", "use super::high::Thing;", false),
            ("middle/a.rs", "use super::super::high::Thing;", false),
            ("middle/a.rs", "/// [`Thing`](crate::high::Thing)", true),
            ("middle/a.rs", "#[cfg(test)]\nuse crate::high::Thing;", true),
            ("middle/a.rs", "#[cfg(test)]\nmod tests {\n    use crate::high::Thing;\n}", true),
            ("middle/a.rs", "macro_rules! m { () => { $crate::high::Thing } }", true),
            ("middle/a.rs", "pub(in crate::high) fn do_it() {}", true),
            ("lib.rs", "pub use high::Thing;", true),
        ] {
            let found = found(file, text);
            assert_eq!(found.is_empty(), allowed, "{text}: {found:?}");
        }
    }

    #[test]
    fn an_import_through_the_root_is_refused() {
        for text in ["use crate::Thing;", "use crate::{low, Thing};", "use super::super::Thing;"] {
            let found = found("middle/a.rs", text);
            assert!(
                found.iter().any(|found| found.contains("through the crate's root")),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn a_room_without_a_floor_is_named() {
        assert!(found("new/mod.rs", "")[0].contains("name the room `new`"));
    }

    #[test]
    fn files_of_a_room_that_import_each_other_are_named() {
        let mut sources = Sources::new();
        for (file, text) in [
            ("low/mod.rs", "mod a; mod b; pub(crate) use self::a::A;"),
            ("low/a.rs", "use super::b::B;"),
            ("low/b.rs", "use crate::low::a::A;"),
            ("low/c.rs", "use crate::low::a::A;"),
        ] {
            sources.insert(file.to_owned(), text.to_owned());
        }
        assert_eq!(problems(&HOUSE, &sources), ["files of `src` import each other: low/a.rs, low/b.rs"]);
        // A circle through the room's `mod.rs` is found, too.
        sources.insert("low/b.rs".to_owned(), "use crate::low::A;".to_owned());
        assert_eq!(
            problems(&HOUSE, &sources),
            ["files of `src` import each other: low/a.rs, low/b.rs, low/mod.rs"]
        );
    }
}
