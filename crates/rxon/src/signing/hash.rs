//! SHA-256 hashes, and bytes as hex digits.

use sha2::{Digest, Sha256};

use super::canonical::{CannotBeSigned, canonical_without};

/// Returns the SHA-256 of a content, as 64 lower-case hex digits.
pub fn digest(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// Returns the hash by which an orchestrator compares the storage of workers: the first 16 hex digits of the SHA-256 of
/// endpoint, access key and bucket with `|` between them (1.0b17).
pub fn s3_config_hash(parts: [&str; 3]) -> String {
    let mut hash = digest(parts.join("|").as_bytes());
    hash.truncate(16);
    hash
}

/// Returns a stable hash of a worker's skills: the SHA-256 of the canonical bytes, in hex.
///
/// # Errors
/// Returns [`CannotBeSigned`] when the text has no canonical form.
pub fn skills_hash(object: &[u8]) -> Result<String, CannotBeSigned> {
    Ok(digest(&canonical_without(object, &[])?))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// Reads lower-case digits only: the orchestrator refuses upper-case signatures too.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
    let (pairs, rest) = text.as_bytes().as_chunks();
    let bytes = pairs.iter().map(|&[high, low]| Some((digit(high)? << 4 | digit(low)?) as u8));
    bytes.collect::<Option<_>>().filter(|_| rest.is_empty())
}
