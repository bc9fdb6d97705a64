//! How files are named on the wire.

use sha2::{Digest, Sha256};

use crate::signing::hex;

/// The hash by which both sides see that they use the same store: the first 16 hex digits of
/// `sha256("endpoint|access_key|bucket")`. None when one of the three is empty.
///
/// ```
/// let hash = rxon::blob::config_hash("http://s3.local:9000", "AKIA", "bucket");
/// assert_eq!(hash.as_deref(), Some("68591be4e83fe32e"));
/// ```
pub fn config_hash(endpoint: &str, access_key: &str, bucket: &str) -> Option<String> {
    if endpoint.is_empty() || access_key.is_empty() || bucket.is_empty() {
        return None;
    }
    let mut digest = digest(format!("{endpoint}|{access_key}|{bucket}").as_bytes());
    digest.truncate(16);
    Some(digest)
}

/// The SHA-256 of something, as 64 hex digits in lower case.
pub fn digest(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// Splits `s3://bucket/key` into bucket and key; the key of a directory ends in `/`.
///
/// ```
/// assert_eq!(rxon::blob::parse_uri("s3://photos/2026/a.jpg"), Some(("photos", "2026/a.jpg")));
/// assert_eq!(rxon::blob::parse_uri("https://example.org/a"), None);
/// ```
pub fn parse_uri(uri: &str) -> Option<(&str, &str)> {
    let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
    (!bucket.is_empty() && !key.is_empty()).then_some((bucket, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_configuration_has_no_hash() {
        assert_eq!(config_hash("", "a", "b"), None);
        assert_eq!(config_hash("e", "", "b"), None);
        assert_eq!(config_hash("e", "a", ""), None);
    }

    #[test]
    fn only_whole_uris_are_taken() {
        for bad in ["s3://", "s3://bucket", "s3://bucket/", "s3:///key", "S3://b/k", ""] {
            assert_eq!(parse_uri(bad), None, "{bad}");
        }
        assert_eq!(parse_uri("s3://b/dir/"), Some(("b", "dir/")));
    }
}
