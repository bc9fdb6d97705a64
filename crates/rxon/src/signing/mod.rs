//! Signatures: canonical bytes, HMAC-SHA256, and the seal on every message that a worker sends.
//!
//! The rules, and the vectors that test them, are those of RXON 1.0b17, section 5. Older orchestrators ignore unknown
//! fields, so every message is signed, whichever orchestrator receives it.

mod canonical;
mod prepared;
mod seal;
mod signer;
mod stamp;
mod task;

pub use canonical::{CannotBeSigned, MAX_DEPTH, NEVER_SIGNED, canonical};
pub use prepared::PreparedResult;
pub use seal::Seal;
pub use signer::{EVENT_IGNORES, Signer, digest, s3_config_hash, skills_hash};
pub use stamp::unix_seconds;
pub use task::TaskSignatureError;
