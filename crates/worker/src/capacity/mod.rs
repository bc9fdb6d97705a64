//! What the worker can take now: slots, limit groups, the user's own check, the disk, the hot cache.

pub(crate) mod catalogue;
pub(crate) mod changes;
pub(crate) mod checker;
pub(crate) mod disk;
pub(crate) mod hot_cache;
pub(crate) mod slots;
pub(crate) mod turns;
