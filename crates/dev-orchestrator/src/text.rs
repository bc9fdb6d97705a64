//! Texts of others, made fit to be shown.

/// The first characters of a text, with an ellipsis when something was cut off.
pub(crate) fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
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
