//! SHA-256 hashes, and HMAC-SHA256 signatures of messages.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::canonical::{CannotBeSigned, canonical, canonical_without};

/// The members that the signature of an event leaves out, beside [`NEVER_SIGNED`](super::NEVER_SIGNED): relays add
/// themselves to it.
pub const EVENT_IGNORES: [&str; 1] = ["bubbling_chain"];

/// A key for signatures: the long-lived token, never a short-lived access token. It is never printed.
#[derive(Debug, Clone)]
pub struct Signer(Hmac<Sha256>);

impl Signer {
    /// Creates a signer with this token as its key.
    pub fn new(token: &str) -> Self {
        Self(Hmac::new_from_slice(token.as_bytes()).expect("HMAC takes keys of any length"))
    }

    /// Returns the signature of a message's JSON text, in lower-case hex.
    ///
    /// # Errors
    /// Returns [`CannotBeSigned`] when the text has no canonical form.
    pub fn sign(&self, message: &[u8], ignore: &[&str]) -> Result<String, CannotBeSigned> {
        let signature = hex(&self.mac(message, ignore)?.finalize().into_bytes().into());
        Ok(String::from_utf8_lossy(signature.as_flattened()).into_owned())
    }

    /// A hash that is to take the canonical form of a message. The key is in it already.
    pub(super) fn begin(&self) -> Hmac<Sha256> {
        self.0.clone()
    }

    /// Returns whether a signature matches a message, in constant time.
    pub fn verify(&self, message: &[u8], ignore: &[&str], signature: &str) -> bool {
        let Ok(mac) = self.mac(message, ignore) else { return false };
        unhex(signature).is_some_and(|signature| mac.verify_slice(&signature).is_ok())
    }

    fn mac(&self, message: &[u8], ignore: &[&str]) -> Result<Hmac<Sha256>, CannotBeSigned> {
        let mut mac = self.begin();
        mac.update(&canonical(message, ignore)?);
        Ok(mac)
    }
}

/// Returns the SHA-256 of a content, as 64 lower-case hex digits.
pub fn digest(content: &[u8]) -> String {
    String::from_utf8_lossy(hex(&Sha256::digest(content).into()).as_flattened()).into_owned()
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

/// The two digits of each byte.
pub(super) fn hex<const N: usize>(bytes: &[u8; N]) -> [[u8; 2]; N] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.map(|byte| [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]))
}

/// Reads lower-case digits only: the orchestrator refuses upper-case signatures too.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
    let (pairs, rest) = text.as_bytes().as_chunks();
    let bytes = pairs.iter().map(|&[high, low]| Some((digit(high)? << 4 | digit(low)?) as u8));
    bytes.collect::<Option<_>>().filter(|_| rest.is_empty())
}
