//! The time and the nonce of an attempt to send a message.

use std::time::{SystemTime, UNIX_EPOCH};

use super::signer::hex;

/// The members of a seal that are new for every attempt, beside the signature.
pub(super) struct Stamp {
    pub(super) timestamp: u64,
    /// In hex.
    pub(super) nonce: [[u8; 2]; 16],
}

impl Stamp {
    pub(super) fn new() -> Self {
        Self { timestamp: unix_seconds(), nonce: hex(&fastrand::u128(..).to_be_bytes()) }
    }
}

/// Returns the seconds since 1970; 0 when the clock shows an earlier time.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
