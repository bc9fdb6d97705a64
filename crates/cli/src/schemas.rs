//! The JSON Schemas of what commands print with `--json`.

/// Each command that prints JSON, with its schema.
const SCHEMAS: [(&str, &str); 12] = [
    ("cancel", include_str!("../schemas/cancel.json")),
    ("config", include_str!("../schemas/config.json")),
    ("demo", include_str!("../schemas/demo.json")),
    ("dev", include_str!("../schemas/dev.json")),
    ("drill", include_str!("../schemas/drill.json")),
    ("logs", include_str!("../schemas/logs.json")),
    ("retry", include_str!("../schemas/retry.json")),
    ("submit", include_str!("../schemas/submit.json")),
    ("task", include_str!("../schemas/task.json")),
    ("tasks", include_str!("../schemas/tasks.json")),
    ("watch", include_str!("../schemas/watch.json")),
    ("workers", include_str!("../schemas/workers.json")),
];

/// Returns the schema of a command.
pub(crate) fn of(command: &str) -> Option<&'static str> {
    SCHEMAS.iter().find(|(name, _)| *name == command).map(|(_, schema)| *schema)
}

/// Returns the commands that have one.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SCHEMAS.iter().map(|(name, _)| *name)
}
