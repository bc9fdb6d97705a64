//! The nearest name to a misspelt one.

/// The name with the fewest slips.
///
/// # Panics
/// When no name is known.
pub(super) fn nearest(known: impl IntoIterator<Item = &'static str>, name: &str) -> &'static str {
    let nearest = known.into_iter().min_by_key(|known| strsim::levenshtein(known, name));
    nearest.expect("there is at least one known name")
}

/// Whether a name is near enough to a known one to be a misspelling of it.
pub(super) fn is_near(known: &str, name: &str) -> bool {
    const MAX_SLIPS: usize = 4;
    strsim::levenshtein(known, name) <= MAX_SLIPS
}
