//! Answers of the storage that mean more than their status says. Pure.
//!
//! | answer | meaning |
//! |---|---|
//! | 301 that names a region or is `PermanentRedirect`; 400 `AuthorizationHeaderMalformed`, `IllegalLocationConstraintException` | the bucket is in another region: permanent, `S3_REGION` is wrong |
//! | 403 `RequestTimeTooSkewed` | a clock is wrong: transient |
//! | 400 `RequestTimeout`, `IncompleteBody`, `BadDigest` | the request did not arrive as it was sent: it is sent again |
//! | 400 `ExpiredToken`, `TokenRefreshRequired` | the keys have just expired: transient |
//! | 400 with any other code | the request is wrong, and stays so: permanent |
//! | 200 to a request for a range | the storage ignores ranges: the object is read whole |
//! | anything else | what the status says |

use http::StatusCode;
use http::header::{HeaderMap, RANGE};

use super::answer::{element, root, summary};

/// The header with the region of a bucket.
const REGION: &str = "x-amz-bucket-region";

/// An answer that means more than its status says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The bucket is in another region than `S3_REGION`.
    #[error("{said}")]
    Region {
        /// The region of the bucket, if the storage tells.
        region: Option<String>,
        said: String,
    },
    /// The clock of this machine and that of the storage differ too much.
    #[error("{said}")]
    Clock { said: String },
    /// The request did not arrive as it was sent.
    #[error("{said}")]
    Garbled { said: String },
    /// The request is wrong, and would be refused again.
    #[error("{said}")]
    Invalid { said: String },
    /// The storage sent the whole object instead of a range.
    #[error("the storage ignores ranges, and sent the whole object")]
    RangeIgnored,
}

impl Refusal {
    /// Returns the meaning of an answer to a request with these headers. `body` is its beginning; empty for a success.
    pub(super) fn of(
        request: &HeaderMap,
        status: StatusCode,
        headers: &HeaderMap,
        body: &str,
    ) -> Option<Self> {
        if status == StatusCode::OK && request.contains_key(RANGE) {
            return Some(Self::RangeIgnored);
        }
        // The source of a role's keys has a document of its own kind, whose codes mean other things.
        let code = element(body, "Code").filter(|_| root(body) == Some("Error")).unwrap_or_default();
        let region = headers.get(REGION).and_then(|region| region.to_str().ok()).map(ToOwned::to_owned);
        let said = || match summary(body) {
            nothing if nothing.is_empty() => format!("the storage answered {}", status.as_u16()),
            text => text,
        };
        match (status.as_u16(), code.trim()) {
            (301, "PermanentRedirect")
            | (400, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
                let region = region.or_else(|| element(body, "Region"));
                Some(Self::Region { region, said: said() })
            }
            (301, _) if region.is_some() => Some(Self::Region { region, said: said() }),
            (403, "RequestTimeTooSkewed") => {
                let times = [("RequestTime", "this machine's"), ("ServerTime", "the storage's")];
                let times =
                    times.map(|(name, whose)| element(body, name).map(|time| format!("{whose} is {time}")));
                let times: Vec<_> = times.into_iter().flatten().collect();
                let said =
                    if times.is_empty() { said() } else { format!("{} ({})", said(), times.join(", ")) };
                Some(Self::Clock { said })
            }
            (400, "RequestTimeout" | "IncompleteBody" | "BadDigest") => Some(Self::Garbled { said: said() }),
            // A page without a code is somebody else's word.
            (400, "" | "ExpiredToken" | "TokenRefreshRequired") => None,
            (400, _) => Some(Self::Invalid { said: said() }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn meaning(status: u16, region: Option<&'static str>, body: &str) -> Option<Refusal> {
        let mut headers = HeaderMap::new();
        if let Some(region) = region {
            headers.insert(REGION, HeaderValue::from_static(region));
        }
        Refusal::of(&HeaderMap::new(), StatusCode::from_u16(status).expect("a status"), &headers, body)
    }

    fn error(code: &str) -> String {
        format!("<Error><Code>{code}</Code><Message>m</Message><Region>eu-1</Region></Error>")
    }

    #[test]
    fn a_wrong_region_is_named_by_header_or_body() {
        let region = |region: Option<&str>, said: &str| {
            Some(Refusal::Region { region: region.map(ToOwned::to_owned), said: said.to_owned() })
        };
        for (status, header, body, expected) in [
            (301, Some("eu-2"), String::new(), region(Some("eu-2"), "the storage answered 301")),
            (301, Some("eu-2"), error("PermanentRedirect"), region(Some("eu-2"), "PermanentRedirect: m")),
            (
                400,
                None,
                error("AuthorizationHeaderMalformed"),
                region(Some("eu-1"), "AuthorizationHeaderMalformed: m"),
            ),
            (
                301,
                None,
                "<Error><Code>PermanentRedirect</Code></Error>".to_owned(),
                region(None, "PermanentRedirect"),
            ),
            (301, None, "<html>moved".to_owned(), None),
            (302, Some("eu-2"), String::new(), None),
            // S3 names the region of the bucket in other refusals too.
            (403, Some("eu-2"), error("AccessDenied"), None),
        ] {
            assert_eq!(meaning(status, header, &body), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_bad_request_is_permanent_unless_it_was_garbled_on_its_way_or_the_keys_expired() {
        for code in ["RequestTimeout", "IncompleteBody", "BadDigest"] {
            assert!(matches!(meaning(400, None, &error(code)), Some(Refusal::Garbled { .. })), "{code}");
        }
        for code in ["InvalidArgument", "EntityTooLarge", "InvalidToken", "MalformedXML"] {
            assert!(matches!(meaning(400, None, &error(code)), Some(Refusal::Invalid { .. })), "{code}");
        }
        let of_role = format!("<ErrorResponse>{}</ErrorResponse>", error("IDPCommunicationError"));
        for body in [error("ExpiredToken"), of_role, "<html>bad request".to_owned(), String::new()] {
            assert_eq!(meaning(400, None, &body), None, "{body}");
        }
        assert_eq!(meaning(403, None, &error("AccessDenied")), None);
        assert_eq!(meaning(503, None, &error("SlowDown")), None);
    }

    #[test]
    fn a_wrong_clock_is_told_with_both_times() {
        let body = "<Error><Code>RequestTimeTooSkewed</Code><Message>too large</Message>\
                    <RequestTime>20260101T000000Z</RequestTime><ServerTime>2026-01-01T01:00:00Z</ServerTime></Error>";
        let said = "RequestTimeTooSkewed: too large \
                    (this machine's is 20260101T000000Z, the storage's is 2026-01-01T01:00:00Z)";
        assert_eq!(meaning(403, None, body), Some(Refusal::Clock { said: said.to_owned() }));
    }

    #[test]
    fn a_range_that_is_answered_with_200_is_ignored() {
        let ranged = HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=0-1"))]);
        let none = HeaderMap::new();
        for (request, status, expected) in [
            (&ranged, StatusCode::OK, Some(Refusal::RangeIgnored)),
            (&ranged, StatusCode::PARTIAL_CONTENT, None),
            (&none, StatusCode::OK, None),
        ] {
            assert_eq!(Refusal::of(request, status, &none, ""), expected, "{status}");
        }
    }
}
