//! Names of files in messages. Pure.

use std::path::Path;

use rxon::text::excerpt;

/// Returns an excerpt of a name, for messages.
pub(super) fn shown(name: &Path) -> String {
    excerpt(name.as_os_str().as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_messages_are_short_and_harmless() {
        let text = shown(Path::new(&"\u{1b}[31m\n".repeat(100)));
        assert!(text.len() < 800 && !text.contains(['\u{1b}', '\n']), "{text}");
    }
}
