//! HMAC-SHA256 signatures of messages.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::canonical::{CannotBeSigned, canonical};
use super::hash::{hex, unhex};

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
        Ok(hex(&self.mac(message, ignore)?.finalize().into_bytes()))
    }

    /// Returns whether a signature matches a message, in constant time.
    pub fn verify(&self, message: &[u8], ignore: &[&str], signature: &str) -> bool {
        let Ok(mac) = self.mac(message, ignore) else { return false };
        unhex(signature).is_some_and(|signature| mac.verify_slice(&signature).is_ok())
    }

    fn mac(&self, message: &[u8], ignore: &[&str]) -> Result<Hmac<Sha256>, CannotBeSigned> {
        let mut mac = self.0.clone();
        mac.update(&canonical(message, ignore)?);
        Ok(mac)
    }
}
