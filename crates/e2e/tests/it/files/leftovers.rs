//! The files of a killed worker, which its successor removes.

use std::fs;

use e2e::{LIMIT, Orchestrator, StorageKind, Version, WorkerOptions, until};
use serde_json::json;

use super::site::{Site, files_below, names_in};

#[test]
fn the_directories_of_a_killed_worker_are_removed_and_no_others() {
    let site = Site::new(StorageKind::Local);
    let orchestrator = Orchestrator::start(Version::V1_0b30);
    let mut options =
        WorkerOptions::new(&orchestrator).with("TASK_FILES_DIR", &site.tasks().display().to_string());
    for (name, value) in site.storage.variables() {
        options = options.with(name, &value);
    }
    // Directories that do not belong to the worker; some have names like those of tasks.
    for name in ["mine", "task-0123", ".hidden"] {
        fs::create_dir(site.tasks().join(name)).expect("made");
        fs::write(site.tasks().join(name).join("file"), "mine").expect("written");
    }
    let before = names_in(&site.tasks());
    let mut worker = options.start();
    orchestrator.wait_for_worker(worker.id());
    let params = json!({ "name": "deep/made.txt", "content": "made", "sleep": 600 });
    orchestrator.submit("write_file", &params);
    let made = || files_below(&site.tasks()).into_iter().find(|file| file.ends_with("deep/made.txt"));
    let file = until("the handler has written its file", LIMIT, made);
    worker.kill_and_start_again();
    until("the file of the killed worker is gone", LIMIT, || (!file.exists()).then_some(()));
    let left = || {
        Some(names_in(&site.tasks())).filter(|names| {
            let foreign: Vec<_> = before.iter().filter(|name| !names.contains(name)).collect();
            assert!(foreign.is_empty(), "{foreign:?} do not belong to the worker, but were removed");
            names.iter().all(|name| before.contains(name) || name.starts_with('.'))
        })
    };
    until("its directory is gone", LIMIT, left);
    for name in ["mine", "task-0123", ".hidden"] {
        assert_eq!(
            fs::read_to_string(site.tasks().join(name).join("file")).expect("there"),
            "mine",
            "{name}"
        );
    }
}
