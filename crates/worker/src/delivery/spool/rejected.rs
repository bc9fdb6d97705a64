//! The file of rejected results, for people to read: a line of JSON for each. Blocks.

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use serde::Serialize;
use serde_json::value::RawValue;

use super::ledger::Rejected;
use super::paths::SpoolPaths;

/// The size in bytes at which the file is renamed and replaces the one renamed before: there are at most two files.
const MAX_BYTES: u64 = 32 << 20;

/// The ending of the file.
const ENDING: &str = "rejected.jsonl";

/// The ending of the file that was renamed.
const ENDING_BEFORE: &str = "rejected.1.jsonl";

#[derive(Serialize)]
struct RejectedLine<'a> {
    /// In Unix seconds.
    rejected_at: f64,
    reason: &'a str,
    orchestrator: &'a str,
    job_id: &'a str,
    task_id: &'a str,
    result: Cow<'a, RawValue>,
}

/// Adds lines. Once it returns they survive any crash.
pub(super) fn append(paths: &SpoolPaths, rejected: &[Rejected]) -> io::Result<()> {
    if rejected.is_empty() {
        return Ok(());
    }
    let path = paths.file(ENDING);
    if std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() >= MAX_BYTES) {
        std::fs::rename(&path, paths.file(ENDING_BEFORE))?;
    }
    let mut text = Vec::new();
    for Rejected { record, reason, at } in rejected {
        // A body that is not JSON, for whatever reason, must not hold back the lines after it.
        let as_text =
            || serde_json::value::to_raw_value(&String::from_utf8_lossy(&record.body)).unwrap_or_default();
        let result =
            serde_json::from_slice(&record.body).map_or_else(|_| Cow::Owned(as_text()), Cow::Borrowed);
        let line = RejectedLine {
            rejected_at: *at as f64 / 1000.0,
            reason,
            orchestrator: &record.orchestrator,
            job_id: record.job_id.as_str(),
            task_id: record.task_id.as_str(),
            result,
        };
        serde_json::to_writer(&mut text, &line)?;
        text.push(b'\n');
    }
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(&text)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::record;
    use super::*;

    #[test]
    fn each_result_is_a_complete_line_and_the_files_stay_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let worker_id = rxon::WorkerId::new("w").expect("an identifier");
        let paths = SpoolPaths { folder: folder.path().to_owned(), worker_id };
        let rejected = |name: &str| Rejected { record: record(name), reason: "422".to_owned(), at: 1_500 };
        append(&paths, &[rejected("a"), rejected("b")]).expect("written");
        let text = std::fs::read_to_string(paths.file(ENDING)).expect("text");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let expected = json!({"rejected_at": 1.5, "reason": "422", "orchestrator": "http://o/", "job_id": "j",
            "task_id": "a", "result": {}});
        assert_eq!((lines.len(), &lines[0]), (2, &expected));
        for name in ["c", "d"] {
            let file = OpenOptions::new().write(true).open(paths.file(ENDING)).expect("there");
            file.set_len(MAX_BYTES).expect("grown");
            append(&paths, &[rejected(name)]).expect("written");
        }
        let read = |ending| std::fs::read_to_string(paths.file(ending)).expect("text");
        assert!(read(ENDING).contains("\"d\"") && read(ENDING_BEFORE).contains("\"c\""));
    }
}
