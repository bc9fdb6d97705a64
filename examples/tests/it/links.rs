//! The links of the documents lead to existing files.

use std::path::Path;

use crate::{file, read};

const DOCUMENTS: [&str; 5] =
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md"];

#[test]
fn every_file_that_a_document_links_to_exists() {
    let guides = std::fs::read_dir(file("docs")).expect("there are guides");
    let guides = guides.map(|entry| format!("docs/{}", entry.expect("an entry").file_name().display()));
    let documents = DOCUMENTS.into_iter().map(str::to_owned).chain(guides);
    let missing: Vec<String> = documents.flat_map(|document| missing_from(&document)).collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Returns a sentence for each link of a document to a missing file.
fn missing_from(document: &str) -> Vec<String> {
    let text = read(document);
    let folder = Path::new(document).parent().expect("a document is in a folder");
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = links.map(|link| link.split('#').next().unwrap_or_default());
    let files = files.filter(|link| !link.is_empty() && !link.contains("://"));
    files
        .filter(|link| !file("").join(folder).join(link).exists())
        .map(|link| format!("`{document}` has a link to `{link}`, which does not exist"))
        .collect()
}

#[test]
fn every_guide_is_compiled_and_every_example_is_run() {
    let compiled = read("examples/src/lib.rs");
    for entry in std::fs::read_dir(file("docs")).expect("there are guides") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_string_lossy();
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
    for entry in std::fs::read_dir(file("docs")).expect("there are guides") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_string_lossy();
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
