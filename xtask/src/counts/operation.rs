//! The operations.

/// An operation that is counted.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// How often it is done in the shorter run: often enough that nothing happens for the first time any more.
    pub(super) few: u32,
    /// How often it is done in the longer run.
    pub(super) many: u32,
}

/// The program that does an operation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// The example `counts` with these arguments.
    Alone(&'static [&'static str]),
    /// A whole task on a worker in Rust, against the scripted server.
    Task { generation: &'static str, slots: &'static str, log: &'static str },
    /// A whole task on a worker in Python: the instructions of the loop's thread.
    PythonLoop { handler: &'static str, slots: &'static str },
}

pub(super) const OPERATIONS: [Operation; 16] = [
    alone("parse", &["parse"], 20_000),
    alone("seal", &["seal"], 5_000),
    alone("log-text", &["log", "text"], 8_000),
    alone("log-json", &["log", "json"], 4_000),
    alone("files", &["files"], 200),
    task("task-newer-1", "newer", "1", "off"),
    task("task-newer-100", "newer", "100", "off"),
    task("task-older-1", "older", "1", "off"),
    task("task-older-100", "older", "100", "off"),
    task("task-newer-1-text", "newer", "1", "text"),
    task("task-newer-100-text", "newer", "100", "text"),
    task("task-older-1-text", "older", "1", "text"),
    task("task-older-100-text", "older", "100", "text"),
    python("python-kwargs-1", "kwargs", "1"),
    python("python-kwargs-100", "kwargs", "100"),
    python("python-named-100", "named", "100"),
];

impl Operation {
    pub(super) fn is_python(&self) -> bool {
        matches!(self.kind, Kind::PythonLoop { .. })
    }
}

const fn alone(name: &'static str, arguments: &'static [&'static str], many: u32) -> Operation {
    Operation { name, kind: Kind::Alone(arguments), few: many / 10, many }
}

const fn task(
    name: &'static str,
    generation: &'static str,
    slots: &'static str,
    log: &'static str,
) -> Operation {
    Operation { name, kind: Kind::Task { generation, slots, log }, few: 500, many: 2_500 }
}

const fn python(name: &'static str, handler: &'static str, slots: &'static str) -> Operation {
    Operation { name, kind: Kind::PythonLoop { handler, slots }, few: 300, many: 1_500 }
}
