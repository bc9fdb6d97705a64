//! Signatures: canonical bytes, HMAC-SHA256, and the seal on every message a worker sends.
//!
//! The rules and the vectors they are tested with are those of RXON 1.0b17, section 5. Older orchestrators ignore
//! what they do not know, so everything is signed towards everybody.

mod canonical;
mod seal;
mod task;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

pub use canonical::{CannotBeSigned, MAX_DEPTH, canonical};
pub use seal::{Seal, unix_seconds};
pub use task::TaskSignatureError;

/// Top-level members that no signature covers.
pub const NEVER_SIGNED: [&str; 2] = ["security", "_signature"];

/// What a task's signature leaves out beside [`NEVER_SIGNED`].
pub const TASK_IGNORES: [&str; 2] = ["sig", "orchestrator_signature"];

/// What an event's signature leaves out beside [`NEVER_SIGNED`]: relays add themselves to it.
pub const EVENT_IGNORES: [&str; 1] = ["bubbling_chain"];

/// A key that signs: the long-lived token, never a short-lived access token.
#[derive(Clone)]
pub struct Signer(Hmac<Sha256>);

impl std::fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Signer(redacted)")
    }
}

impl Signer {
    /// A signer with this token as its key.
    pub fn new(token: &str) -> Self {
        Self(Hmac::new_from_slice(token.as_bytes()).expect("HMAC takes keys of any length"))
    }

    /// The signature of a message's JSON text, as lower-case hex.
    ///
    /// # Errors
    /// [`CannotBeSigned`] when the text has no canonical form.
    pub fn sign(&self, message: &[u8], ignore: &[&str]) -> Result<String, CannotBeSigned> {
        let mut mac = self.0.clone();
        mac.update(&canonical(message, ignore)?);
        Ok(hex(&mac.finalize().into_bytes()))
    }

    /// Whether a signature fits a message. Takes as long for a wrong one as for a right one.
    pub fn verify(&self, message: &[u8], ignore: &[&str], signature: &str) -> bool {
        let Ok(canonical) = canonical(message, ignore) else { return false };
        let Some(signature) = unhex(signature) else { return false };
        let mut mac = self.0.clone();
        mac.update(&canonical);
        mac.verify_slice(&signature).is_ok()
    }
}

/// What tells workers with the same storage: the first 16 hex digits of `sha256` over endpoint, access key and bucket
/// with `|` between them (1.0b17).
pub fn s3_config_hash(parts: [&str; 3]) -> String {
    hex(&Sha256::digest(parts.join("|").as_bytes())).chars().take(16).collect()
}

/// A stable hash of what a worker can do: `sha256` over the canonical bytes, in hex.
///
/// # Errors
/// [`CannotBeSigned`] when the text has no canonical form.
pub fn skills_hash(object: &[u8]) -> Result<String, CannotBeSigned> {
    let canonical = canonical::canonical_without(object, &[])?;
    Ok(hex(&Sha256::digest(&canonical)))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Lower-case digits only: the orchestrator refuses upper-case signatures too.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    bytes.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}
