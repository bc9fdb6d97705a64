//! What axe-core finds wrong with a page. The library is not a part of this repository: `cargo xtask setup` gets it.

use std::env;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::page::Page;

/// Where `cargo xtask` puts it, below `target`.
const FILE: &str = "axe-core/axe.min.js";

/// Findings that are worse than a matter of taste.
const BAD: [&str; 2] = ["serious", "critical"];

/// Returns a sentence for each serious or critical finding on the page as it is now.
pub async fn findings(page: &Page) -> Vec<String> {
    let library = std::fs::read_to_string(library()).expect("it can be read");
    // Not as an element of the page, which its policy would refuse.
    page.cdp("Runtime.evaluate", json!({ "expression": library })).await;
    let run = "const done = arguments[arguments.length - 1];
        axe.run(document, { resultTypes: ['violations'] }).then(
            ({ violations }) => done(violations.map(({ id, impact, help, nodes }) => ({ id, impact, help,
                nodes: nodes.map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary}`) }))),
            (error) => done([{ id: 'axe', impact: 'critical', help: String(error), nodes: [] }]),
        );";
    let found = page.script_async(run, Vec::new()).await;
    let bad = |finding: &&Value| BAD.iter().any(|impact| finding["impact"] == *impact);
    let found = found.as_array().expect("a list").iter().filter(bad);
    found.map(|finding| format!("{} ({}): {:#}", finding["id"], finding["help"], finding["nodes"])).collect()
}

fn library() -> PathBuf {
    let program = env::current_exe().expect("a program has a path");
    let found = program.ancestors().map(|directory| directory.join(FILE)).find(|path| path.exists());
    found.expect("axe-core is not there; run `cargo xtask setup`")
}
