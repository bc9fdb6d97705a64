//! The bytes that a connection moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of bytes that a connection has moved, in both directions. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Movement(Arc<AtomicU64>);

impl Movement {
    /// Counts bytes that were read or written.
    pub fn record(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns the number of bytes so far.
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
