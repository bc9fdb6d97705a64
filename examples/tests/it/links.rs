//! The links of the documents lead to existing files and headings.

use std::collections::BTreeSet;
use std::path::Path;

use crate::{file, read};

const DOCUMENTS: [&str; 11] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "examples/README.md",
    "crates/cli/README.md",
    "crates/dev-orchestrator/README.md",
    "crates/python/README.md",
    "crates/rxon/README.md",
    "crates/worker/README.md",
    "crates/worker-macros/README.md",
];

/// The address under which the files of the repository are read on the web.
const HOME: &str = "https://github.com/avtomatika-ai/avtomatika-worker";

/// The names of the guides. The folder also has pictures for them.
fn guides() -> Vec<String> {
    let entries = std::fs::read_dir(file("docs")).expect("there are guides");
    let names = entries.map(|entry| entry.expect("an entry").file_name().display().to_string());
    names.filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "md")).collect()
}

#[test]
fn every_file_and_heading_that_a_document_links_to_exists() {
    let guides = guides().into_iter().map(|name| format!("docs/{name}"));
    let documents = DOCUMENTS.into_iter().map(str::to_owned).chain(guides);
    let missing: Vec<String> = documents.flat_map(|document| missing_from(&document)).collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Returns a sentence for each link of a document to a missing file or heading.
fn missing_from(document: &str) -> Vec<String> {
    let text = prose(&read(document));
    let folder = Path::new(document).parent().expect("a document is in a folder");
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    links
        .filter(|link| !is_alive(document, folder, link))
        .map(|link| format!("`{document}` has a link to `{link}`, which does not exist"))
        .collect()
}

fn is_alive(document: &str, folder: &Path, link: &str) -> bool {
    let (path, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = if let Some(rest) = path.strip_prefix(HOME) {
        Path::new(rest.strip_prefix("/blob/main/").unwrap_or("README.md")).to_owned()
    } else if path.contains("://") {
        return true;
    } else if path.is_empty() {
        Path::new(document).to_owned()
    } else {
        folder.join(path)
    };
    let target = file("").join(target);
    if heading.is_empty() {
        return target.exists();
    }
    std::fs::read_to_string(target).is_ok_and(|text| headings(&text).contains(heading))
}

/// A document without its blocks of code.
fn prose(text: &str) -> String {
    let parts = text.split("\n```").step_by(2);
    // The first line of a part after a block is the end of that block's fence.
    parts.collect::<Vec<_>>().join("\n")
}

/// The names of a document's headings in links, as the sites that show the repository make them.
fn headings(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let titles =
        prose.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let name = |title: &str| -> String {
        let kept = title.to_lowercase();
        let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    };
    titles.map(name).collect()
}

#[test]
fn a_dead_link_is_noticed() {
    let folder = Path::new("docs");
    for (link, alive) in [
        ("files.md", true),
        ("files.md#cache", true),
        ("files.md#cash", false),
        ("none.md", false),
        ("../README.md#a-worker-in-rust", true),
        ("#speed-and-memory", true),
        ("#speed", false),
        ("https://example.com/none", true),
        ("https://github.com/avtomatika-ai/avtomatika-worker#documentation", true),
        ("https://github.com/avtomatika-ai/avtomatika-worker/blob/main/docs/none.md", false),
    ] {
        assert_eq!(is_alive("docs/files.md", folder, link), alive, "{link}");
    }
}

#[test]
fn every_guide_is_compiled_and_every_example_is_run() {
    let compiled = read("examples/src/lib.rs");
    for name in guides() {
        assert!(
            compiled.contains(&format!("/docs/{name}\"")),
            "examples/src/lib.rs does not compile docs/{name}"
        );
    }
    let run = read("examples/tests/it/examples.rs");
    for entry in std::fs::read_dir(file("examples")).expect("there are examples") {
        let entry = entry.expect("an entry");
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // This one needs an orchestrator: the worker's own tests and those against the real orchestrators run it.
        if entry.path().join("main.rs").exists() && name != "conformance_worker" {
            assert!(
                run.contains(&format!("\"{name}\"")),
                "examples/tests/it/examples.rs does not run {name}"
            );
        }
    }
}

#[test]
fn every_guide_and_every_example_is_in_an_index() {
    let readme = read("README.md");
    for name in guides() {
        assert!(readme.contains(&format!("(docs/{name})")), "README.md does not name docs/{name}");
    }
    let examples = read("examples/README.md");
    for entry in std::fs::read_dir(file("examples")).expect("there are examples") {
        let entry = entry.expect("an entry");
        let name = entry.file_name();
        if entry.path().join("main.rs").exists() {
            assert!(
                examples.contains(&format!("`{}`", name.display())),
                "examples/README.md does not name {}",
                name.display()
            );
        }
    }
}
