//! The policy under which a browser runs the page: own scripts and styles, and nothing from elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// Returns the `Content-Security-Policy` for a document. An import map can only be inside of the document, so that the
/// policy names its hash.
pub(super) fn of(document: &[u8]) -> String {
    let hash = import_map(document).map(|map| format!(" 'sha256-{}'", STANDARD.encode(Sha256::digest(map))));
    format!(
        "default-src 'none'; script-src 'self'{}; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        hash.unwrap_or_default()
    )
}

/// Returns the text between the tags of the import map, of which a browser makes the hash.
fn import_map(document: &[u8]) -> Option<&str> {
    let document = std::str::from_utf8(document).ok()?;
    let tag = document.find("<script type=\"importmap\"")?;
    let begin = tag + document[tag..].find('>')? + 1;
    let end = begin + document[begin..].find("</script>")?;
    Some(&document[begin..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_allows_the_import_map_of_the_document_and_no_other_inline_script() {
        let document = b"<script type=\"importmap\">{\"imports\": {}}</script><script>alert(1)</script>";
        // printf '{"imports": {}}' | openssl dgst -sha256 -binary | base64
        let policy = of(document);
        let hash = "'sha256-CJt/FpW3RQlGvqBeO/YK74xrTm1ctS6rLMJu1bV4fMc='";
        assert!(policy.contains(&format!("script-src 'self' {hash};")), "{policy}");
        assert_eq!(policy.matches("sha256-").count(), 1, "{policy}");
    }

    #[test]
    fn a_document_without_an_import_map_needs_no_hash() {
        for document in [&b""[..], b"<script type=\"importmap\"", b"\xff", b"<p>"] {
            assert!(of(document).contains("script-src 'self'; style-src 'self'"), "{document:?}");
        }
    }
}
