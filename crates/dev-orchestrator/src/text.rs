//! Shortening of received texts for messages.

/// Returns at most `limit` characters of a text, with an ellipsis if it was longer.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_texts_are_cut() {
        assert_eq!(cut("ключ", 4), "ключ");
        assert_eq!(cut("ключи", 4), "ключ…");
        assert_eq!(cut("", 0), "");
    }
}
