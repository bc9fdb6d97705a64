//! `ETag`: whether a client has a version already.

use axum::http::{HeaderMap, header};

/// Whether `If-None-Match` names this `ETag`, which has its quotes.
pub(super) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let mut lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    lists.any(|list| list.split(',').map(str::trim).any(|known| known == "*" || weak(known) == etag))
}

/// Whether `If-Range` allows a range: it is absent, or names this `ETag`.
pub(super) fn allows_range(headers: &HeaderMap, etag: &str) -> bool {
    headers.get(header::IF_RANGE).is_none_or(|expected| expected.as_bytes() == etag.as_bytes())
}

fn weak(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_known_if_it_is_in_the_list() {
        let known = |list: &'static str| {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, list.parse().expect("a value"))]);
            is_known(&headers, "\"a\"")
        };
        assert!(known("\"a\"") && known("\"b\", W/\"a\"") && known("*"));
        assert!(!known("\"b\"") && !known("a") && !known(""));
        assert!(!is_known(&HeaderMap::new(), "\"a\""));
    }

    #[test]
    fn a_range_of_another_version_is_not_sent() {
        let allowed = |etag: &'static str| {
            let headers = HeaderMap::from_iter([(header::IF_RANGE, etag.parse().expect("a value"))]);
            allows_range(&headers, "\"a\"")
        };
        assert!(allowed("\"a\"") && !allowed("\"b\"") && !allowed("W/\"a\""));
        assert!(allows_range(&HeaderMap::new(), "\"a\""));
    }
}
