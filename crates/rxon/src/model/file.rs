//! What is known of a file that travels beside a message.

use serde::{Deserialize, Serialize};

use super::reading::count;

/// Size and content tag of one object, in `params_metadata` and `data_metadata`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMetadata {
    /// Where it is: `s3://bucket/key`; a directory ends in `/`.
    pub uri: String,
    /// Size in bytes; for a directory, the sum.
    #[serde(default, deserialize_with = "count", skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Content tag, without quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}
