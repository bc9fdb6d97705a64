//! Tasks for workers under test.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

/// A task as an orchestrator sends it, with ids (`task-N`, `job-N`) that no other task of this process has.
pub fn task(name: &str, params: Value) -> Value {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut task = json!({
        "job_id": format!("job-{number}"),
        "task_id": format!("task-{number}"),
        "type": name,
        "tracing_context": {},
        "priority": 0,
    });
    task["params"] = params;
    task
}
