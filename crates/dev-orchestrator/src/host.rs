//! The names under which this machine answers requests of people, as a protection against web pages of other sites: a
//! page can make its own name point to this machine, but then its requests have that name in `Host`.

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Uri, header};

/// The names of a server: `localhost`, loopback addresses, the address it listens on, and the names in its settings.
#[derive(Debug, Clone)]
pub(crate) struct OwnNames {
    address: SocketAddr,
    allowed: Vec<String>,
}

impl OwnNames {
    pub(crate) fn new(address: SocketAddr, allowed: Vec<String>) -> Self {
        Self { address, allowed }
    }

    /// Checks that a request is for one of the names. The error says what is wrong.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), String> {
        let hosts = hosts(uri, headers);
        if hosts.is_empty() {
            return Err("the header `Host` is missing".to_owned());
        }
        match hosts.into_iter().find(|host| !self.is_own(host)) {
            None => Ok(()),
            Some(host) => Err(format!(
                "`Host` is `{}`, expected `localhost`, a loopback address, `{}` or a name allowed in the settings",
                crate::text::cut(host, 100),
                self.address
            )),
        }
    }

    /// Checks that a request was not made by a page of another site. A browser names the page's site in `Origin`; other
    /// clients have none.
    pub(crate) fn check_origin(&self, headers: &HeaderMap) -> Result<(), String> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let stranger =
            headers.get_all(header::ORIGIN).iter().find(|origin| !self.is_own_origin(origin, host));
        match stranger {
            None => Ok(()),
            Some(origin) => Err(format!(
                "`Origin` is `{}`, expected the address of this server: pages of other sites may change nothing",
                crate::text::cut(origin.to_str().unwrap_or("not a text"), 100)
            )),
        }
    }

    /// Checks that something that lasts is not asked for by a page of another site, also by one whose requests have no
    /// `Origin`, such as those of pictures: it could not read the answer, but use up what there is a limited number of.
    pub(crate) fn check_site(&self, headers: &HeaderMap) -> Result<(), String> {
        self.check_origin(headers)?;
        // `none` is a person who typed the address.
        let is_own = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
        match headers.get_all("sec-fetch-site").iter().find(|site| !is_own(site)) {
            None => Ok(()),
            Some(site) => Err(format!(
                "`Sec-Fetch-Site` is `{}`, expected `same-origin`: this is for the page of this server",
                crate::text::cut(site.to_str().unwrap_or("not a text"), 100)
            )),
        }
    }

    /// Whether an origin is this server, as it was called in this request, or by another of its names. Another port is
    /// another site: the page of another program on this machine.
    fn is_own_origin(&self, origin: &HeaderValue, host: Option<&str>) -> bool {
        let Some((_, authority)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else {
            return false;
        };
        let port = format!(":{}", self.address.port());
        self.is_own(authority)
            && (host.is_some_and(|host| host.eq_ignore_ascii_case(authority)) || authority.ends_with(&port))
    }

    fn is_own(&self, host: &str) -> bool {
        let name = without_port(host);
        if let Ok(address) = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            let own = self.address.ip();
            // A foreign page has a name, never an address; so if we listen on all addresses, any address is accepted.
            return address.is_loopback() || address == own || own.is_unspecified();
        }
        let name = name.trim_end_matches('.');
        name.eq_ignore_ascii_case("localhost")
            || self.allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
    }
}

/// Whether a request is for this machine by a name that means something on this machine only.
pub(crate) fn is_for_loopback(uri: &Uri, headers: &HeaderMap) -> bool {
    let hosts = hosts(uri, headers);
    !hosts.is_empty()
        && hosts.into_iter().all(|host| {
            let name = without_port(host);
            let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
            address.map_or_else(
                |_| name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
                |address| address.is_loopback(),
            )
        })
}

/// Returns the names that a request is for.
fn hosts<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Vec<&'a str> {
    // A value that is no text is no name of ours either.
    let named = headers.get_all(header::HOST).iter().map(|value| value.to_str().unwrap_or("\u{fffd}"));
    named.chain(uri.authority().map(Authority::as_str)).collect()
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(address: &str) -> OwnNames {
        OwnNames::new(address.parse().expect("an address"), vec!["orchestrator".to_owned()])
    }

    fn headers(rows: &[(header::HeaderName, &str)]) -> HeaderMap {
        rows.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn loopback_the_bound_address_and_allowed_names_are_ours() {
        let names = names("192.168.1.5:8080");
        for own in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.:1",
            "127.0.0.1",
            "127.8.9.1:80",
            "[::1]:8080",
            "[::1]",
            "192.168.1.5:8080",
            "Orchestrator:8080",
        ] {
            assert!(names.is_own(own), "{own}");
        }
        for foreign in [
            "evil.example",
            "evil.example:8080",
            "192.168.1.6",
            "localhost.evil.example",
            "",
            ":",
            "0.0.0.0",
            "a@localhost",
        ] {
            assert!(!names.is_own(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_server_on_all_addresses_accepts_any_address_but_no_foreign_name() {
        let names = names("0.0.0.0:8080");
        assert!(names.is_own("10.0.0.7:8080") && names.is_own("[fe80::1]:8080"));
        assert!(!names.is_own("evil.example:8080"));
    }

    #[test]
    fn every_name_of_a_request_has_to_be_ours() {
        let names = names("127.0.0.1:8080");
        let check = |uri: &str, hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, host.parse().expect("a value"));
            }
            names.check(&uri.parse().expect("an address"), &headers)
        };
        assert_eq!(check("/", &["localhost:8080"]), Ok(()));
        assert_eq!(check("http://localhost/", &[]), Ok(()));
        assert!(check("/", &[]).is_err());
        assert!(check("/", &["localhost", "evil.example"]).is_err());
        let error = check("http://evil.example/", &["localhost"]).expect_err("another name");
        assert!(error.contains("`evil.example`"), "{error}");
    }

    #[test]
    fn only_our_own_page_may_change_something() {
        let names = names("127.0.0.1:8080");
        let check = |host: &str, origin: &str| {
            names.check_origin(&headers(&[(header::HOST, host), (header::ORIGIN, origin)])).is_ok()
        };
        for (host, origin) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("127.0.0.1:8080", "http://localhost:8080"),
            // Behind a forwarded port, and behind a proxy that speaks TLS.
            ("localhost:9999", "http://localhost:9999"),
            ("orchestrator", "https://orchestrator"),
        ] {
            assert!(check(host, origin), "{host} {origin}");
        }
        for (host, origin) in [
            ("127.0.0.1:8080", "null"),
            ("127.0.0.1:8080", ""),
            ("127.0.0.1:8080", "http://evil.example:8080"),
            ("127.0.0.1:8080", "http://localhost:3000"),
            ("127.0.0.1:8080", "http://localhost"),
            ("evil.example:8080", "http://evil.example:8080"),
        ] {
            assert!(!check(host, origin), "{host} {origin}");
        }
        assert_eq!(names.check_origin(&HeaderMap::new()), Ok(()), "a client that is no browser");
    }
}
