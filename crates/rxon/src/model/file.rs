//! Metadata of the files that belong to a message.

use serde::{Deserialize, Serialize};

use super::reading::count;

/// Size and `ETag` of one object, in `params_metadata` and `data_metadata`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMetadata {
    /// The address, `s3://bucket/key`; that of a directory ends in `/`.
    pub uri: String,
    /// The size in bytes; of a directory, the sum of its files.
    #[serde(default, deserialize_with = "count", skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The `ETag`, without quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}
