//! The tables of the database, and their keys.

use redb::TableDefinition;

/// A table. Keys and values are bytes; who writes a table says what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Table {
    /// What there is one of: the text in the ids of tasks, and the number of the last one.
    About,
    /// Tasks without their parameters, by number.
    Jobs,
    /// The parameters of tasks, by number.
    Params,
    /// Further parts of long stories, by the numbers of task and part.
    Stories,
    Workers,
    Skills,
    /// Lines of logs, by number.
    Logs,
    Faults,
    Buckets,
    /// Objects, by bucket and key.
    Objects,
    /// Multipart uploads, by bucket and id.
    Uploads,
    /// The parts of uploads, by bucket, id and number.
    Parts,
}

impl Table {
    pub(super) const ALL: [Self; 12] = [
        Self::About,
        Self::Jobs,
        Self::Params,
        Self::Stories,
        Self::Workers,
        Self::Skills,
        Self::Logs,
        Self::Faults,
        Self::Buckets,
        Self::Objects,
        Self::Uploads,
        Self::Parts,
    ];

    pub(super) fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(match self {
            Self::About => "about",
            Self::Jobs => "jobs",
            Self::Params => "params",
            Self::Stories => "stories",
            Self::Workers => "workers",
            Self::Skills => "skills",
            Self::Logs => "logs",
            Self::Faults => "faults",
            Self::Buckets => "buckets",
            Self::Objects => "objects",
            Self::Uploads => "uploads",
            Self::Parts => "parts",
        })
    }
}

/// Returns the key of a number: keys are in the order of their numbers.
pub(crate) fn numbered(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// Returns the number at the beginning of a key.
pub(crate) fn number(key: &[u8]) -> Option<u64> {
    key.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// Returns the key of two texts, of which the first one has no zero byte.
pub(crate) fn join(first: &str, second: &str) -> Vec<u8> {
    [first.as_bytes(), &[0], second.as_bytes()].concat()
}

/// Returns the two texts of a key.
pub(crate) fn split(key: &[u8]) -> Option<(&str, &str)> {
    str::from_utf8(key).ok()?.split_once('\0')
}
