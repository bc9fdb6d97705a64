//! Reading of the storage's answers, and the part of them that errors show. Pure.

use rxon::secrets::masked;
use rxon::text::excerpt;

/// The codes of transient errors in answers with status 200.
const TRANSIENT_CODES: [&str; 6] =
    ["InternalError", "SlowDown", "ServiceUnavailable", "RequestTimeout", "OperationAborted", "Throttling"];

/// Returns the code and the message in the body of an error. The rest of the body repeats the request, with keys in it.
pub(super) fn summary(body: &str) -> String {
    let part = |name| element(body, name).map(|text| without_layout(&text));
    match (part("Code"), part("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(part), None) | (None, Some(part)) => part,
        (None, None) if body.contains("<Error") => "an error without a code".to_owned(),
        (None, None) => without_layout(body),
    }
}

/// Returns why an answer with status 200 is not a listing; None for a listing.
pub(super) fn wrong_listing(body: &str) -> Option<String> {
    match root(body) {
        Some("ListBucketResult") => {
            let is_cut = element(body, "IsTruncated").is_some_and(|text| text.trim() == "true");
            let has_token = element(body, "NextContinuationToken").is_some_and(|token| !token.is_empty());
            let error = "the listing is truncated, and the token of the next page, `NextContinuationToken`, is missing";
            (is_cut && !has_token).then(|| error.to_owned())
        }
        Some("Error") => error_in(body),
        _ => {
            let answer = match summary(body) {
                nothing if nothing.is_empty() => "nothing".to_owned(),
                text => format!("`{text}`"),
            };
            Some(format!("the storage answered a listing with {answer}, expected a `ListBucketResult`"))
        }
    }
}

/// Returns the error in an answer with status 200.
pub(super) fn error_in(body: &str) -> Option<String> {
    let is_error = root(body) == Some("Error");
    is_error.then(|| format!("the storage answered with status 200 and the error `{}`", summary(body)))
}

/// Whether an error in an answer with status 200 is transient.
pub(super) fn is_transient(body: &str) -> bool {
    element(body, "Code").is_some_and(|code| TRANSIENT_CODES.contains(&code.trim()))
}

/// Returns the name of a document's root element, without its namespace.
pub(super) fn root(document: &str) -> Option<&str> {
    let mut rest = document.trim_start_matches('\u{feff}').trim_start();
    for (start, end) in [("<?", "?>"), ("<!--", "-->"), ("<!", ">")] {
        while rest.starts_with(start) {
            rest = rest.split_once(end)?.1.trim_start();
        }
    }
    let name = rest.strip_prefix('<')?;
    let name = &name[..name.find(|char: char| char.is_whitespace() || matches!(char, '>' | '/'))?];
    Some(name.rsplit_once(':').map_or(name, |(_, name)| name))
}

/// Returns the text of the first element of this name, up to its first child element.
pub(super) fn element(document: &str, name: &str) -> Option<String> {
    let (_, behind) = document.split_once(&format!("<{name}>"))?;
    match behind.trim_start().strip_prefix("<![CDATA[") {
        Some(text) => Some(text.split_once("]]>")?.0.to_owned()),
        None => Some(unescaped(behind.split_once('<')?.0)),
    }
}

/// Replaces entities by their characters, because keys can be escaped in a text.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let entity = part.split_once(';').and_then(|(name, rest)| Some((character(name)?, rest)));
        if let Some((char, rest)) = entity {
            plain.push(char);
            plain.push_str(rest);
        } else {
            plain.push('&');
            plain.push_str(part);
        }
    }
    plain
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = entity.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(number.ok()?)
        }
    }
}

/// Returns an excerpt of a text without its line ends and indentation.
fn without_layout(text: &str) -> String {
    excerpt(masked(text).split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use rxon::secrets::Secrets;
    use rxon::text::MAX_EXCERPT;

    use super::*;

    const LISTING: &str = "<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"x\">";

    #[test]
    fn errors_show_only_the_code_and_the_message() {
        let _held = Secrets::new(["AKIAHIDDEN/1".to_owned()]);
        for (body, text) in [
            ("", ""),
            ("<Error><Code>A</Code><Message>b c</Message><StringToSign>s</StringToSign></Error>", "A: b c"),
            ("<Error><StringToSign>s</StringToSign><Code>A</Code></Error>", "A"),
            ("<Error><StringToSign>s</StringToSign></Error>", "an error without a code"),
            ("<ErrorResponse><Error><Message>m</Message></Error></ErrorResponse>", "m"),
            ("<Error><Code>A</Code><Message>of AKIAHIDDEN/1</Message></Error>", "A: of ***"),
            (
                "<Error><Code>A</Code><Message>of AKIAHIDDEN&#x2f;1 &amp; &#233;</Message></Error>",
                "A: of *** & é",
            ),
            ("<Error><Code>A</Code><Message><![CDATA[AKIAHIDDEN%2F1]]></Message></Error>", "A: ***"),
            ("<Error><Code>A</Code><Message>a\n\u{1b}[31mb<X>c</X></Message></Error>", "A: a \\u{1b}[31mb"),
            ("<Error><Code>A</Code><Message>not whole", "A"),
            ("<html>\r\n<b>AKIAHIDDEN%2f1</b></html>", "<html> <b>***</b></html>"),
        ] {
            assert_eq!(summary(body), text, "{body}");
        }
        let long = summary(&format!("<Error><Code>A</Code><Message>{}</Message>", "é".repeat(9999)));
        assert_eq!(long.chars().count(), MAX_EXCERPT + "A: …".chars().count());
        // Keys are masked before the text is cut.
        let cut = summary(&format!("{}AKIAHIDDEN/1", "x".repeat(MAX_EXCERPT - 5)));
        assert!(cut.ends_with("x***"), "{cut}");
    }

    #[test]
    fn answers_that_are_not_listings_are_explained() {
        for (body, expected) in [
            (format!("{LISTING}</ListBucketResult>"), None),
            ("\u{feff}<!-- a --><s3:ListBucketResult/>".to_owned(), None),
            (format!("{LISTING}<IsTruncated>false</IsTruncated>"), None),
            (
                format!(
                    "{LISTING}<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
                ),
                None,
            ),
            (
                format!("{LISTING}<IsTruncated>true</IsTruncated>"),
                Some("`NextContinuationToken`, is missing"),
            ),
            ("<Error><Code>InternalError</Code></Error>".to_owned(), Some("the error `InternalError`")),
            ("<!doctype html><html>log in".to_owned(), Some("with `<!doctype html><html>log in`, expected")),
            ("hello".to_owned(), Some("with `hello`, expected")),
            (" ".to_owned(), Some("with nothing, expected")),
            ("<ListAllMyBucketsResult/>".to_owned(), Some("expected a `ListBucketResult`")),
        ] {
            let error = wrong_listing(&body);
            match expected {
                Some(expected) => {
                    assert!(
                        error.as_ref().is_some_and(|error| error.contains(expected)),
                        "{body}: {error:?}"
                    );
                }
                None => assert_eq!(error, None, "{body}"),
            }
        }
    }

    #[test]
    fn some_errors_are_transient() {
        assert!(is_transient("<Error><Code>SlowDown</Code></Error>"));
        assert!(!is_transient("<Error><Code>AccessDenied</Code></Error>"));
        assert!(!is_transient("<html>"));
    }
}
