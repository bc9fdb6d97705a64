//! The descriptors that a forked process must not keep.
//!
//! `fork` copies all descriptors. While a copy is open, a lock stays locked, a port stays taken, and the other side of a
//! connection takes it for alive, even if the process that had opened it is dead. A program that forks and does not call
//! `exec`, as Python's `multiprocessing` does, therefore replaces those that [`not_inherited`] returns in the child.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// Marks a slot without a descriptor.
const FREE: RawFd = -1;

/// The descriptors. A lock may be held by a thread that the child does not have, so there is none. Further descriptors
/// than there are slots are inherited.
static SLOTS: [AtomicI32; 4096] = [const { AtomicI32::new(FREE) }; 4096];

/// Keeps a descriptor from being inherited, for as long as it lives. It has to be dropped before the descriptor is
/// closed, whose number may belong to something else from then on: its field stands before that of the descriptor.
#[derive(Debug)]
pub struct NotInherited(Option<&'static AtomicI32>);

impl NotInherited {
    /// Registers an open descriptor.
    pub fn new(descriptor: &impl AsFd) -> Self {
        let number = descriptor.as_fd().as_raw_fd();
        let take = |slot: &&AtomicI32| {
            slot.compare_exchange(FREE, number, Ordering::SeqCst, Ordering::Relaxed).is_ok()
        };
        Self(SLOTS.iter().find(take))
    }
}

impl Drop for NotInherited {
    fn drop(&mut self) {
        if let Some(slot) = self.0 {
            slot.store(FREE, Ordering::SeqCst);
        }
    }
}

/// Returns the descriptors that are registered in this process, or were in its parent at the time of the fork. Takes no
/// lock.
pub fn not_inherited() -> Vec<RawFd> {
    SLOTS.iter().map(|slot| slot.load(Ordering::SeqCst)).filter(|number| *number != FREE).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_descriptor_is_listed_from_its_registration_until_the_guard_is_dropped() {
        let file = File::open("/dev/null").expect("there");
        let number = file.as_raw_fd();
        let listed = || not_inherited().iter().filter(|one| **one == number).count();
        assert_eq!(listed(), 0);
        let guards = [NotInherited::new(&file), NotInherited::new(&file)];
        assert_eq!(listed(), 2);
        drop(guards);
        assert_eq!(listed(), 0);
    }
}
