//! Metadata of files in parameters and data.

use std::collections::BTreeMap;

use rxon::model::FileMetadata;

/// The metadata of files, by their paths in the parameters or the data, such as `a.b[0]`.
pub(crate) type MetadataByPath = BTreeMap<String, FileMetadata>;
