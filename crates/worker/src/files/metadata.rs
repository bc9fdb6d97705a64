//! Descriptions of the files in parameters and data.

use std::collections::BTreeMap;

use rxon::model::FileMetadata;

/// The metadata of files, by their paths in the parameters or the data, such as `a.b[0]`.
pub(crate) type MetadataByPath = BTreeMap<String, FileMetadata>;

/// The fetched inputs, by the paths that replaced their addresses in the parameters.
pub(super) type Inputs = BTreeMap<String, InputKind>;

/// The kind of a fetched input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InputKind {
    File,
    Directory,
}
