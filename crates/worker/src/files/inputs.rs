//! The fetched inputs of a task.

use std::collections::BTreeMap;

/// The kind of a fetched input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InputKind {
    File,
    Directory,
}

/// The fetched inputs, by the paths that replaced their addresses in the parameters.
pub(super) type Inputs = BTreeMap<String, InputKind>;
