//! Addresses of orchestrators and proxies.

use std::fmt;
use std::num::NonZeroU16;

use base64::Engine as _;
use http::Uri;
use rustls_pki_types::ServerName;

use crate::text::excerpt;

/// A text that is not a valid address of an orchestrator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not the address of an orchestrator: {expected}")]
pub struct InvalidAddress {
    /// An [`excerpt`] of the text, without credentials.
    pub value: String,
    /// The expected value.
    pub expected: &'static str,
}

/// The maximal length of an address in bytes. A longer one is a mistake, and would not fit into a request line.
const MAX_LENGTH: usize = 2048;

/// The base address of an orchestrator: the scheme `http` or `https` (`ws` and `wss` mean the same), a host, and
/// optionally a port, credentials and a path prefix. Credentials are never printed.
///
/// ```
/// use rxon::transport::http::OrchestratorUrl;
///
/// let url: OrchestratorUrl = "wss://me:secret@orchestrator.example/api/".parse().expect("an address");
/// assert_eq!(url.to_string(), "https://orchestrator.example/api");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct OrchestratorUrl {
    secure: bool,
    host: String,
    port: Option<NonZeroU16>,
    credentials: Option<String>,
    prefix: String,
}

impl std::str::FromStr for OrchestratorUrl {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = |expected| InvalidAddress { value: excerpt(redacted(text.trim())), expected };
        if text.len() > MAX_LENGTH {
            return Err(invalid("expected at most 2048 characters"));
        }
        let uri: Uri = text
            .trim()
            .parse()
            .map_err(|_| invalid("expected something like `http://host:8080` or `https://host/prefix`"))?;
        let secure = match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            _ => return Err(invalid("expected the scheme http, https, ws or wss")),
        };
        if uri.query().is_some() {
            return Err(invalid("expected no query"));
        }
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or_else(|| invalid("expected a host"))?;
        // A host that TLS could never verify is an error here already.
        if secure && ServerName::try_from(without_brackets(authority.host())).is_err() {
            return Err(invalid("expected a host name or an IP address"));
        }
        let (credentials, place) = match authority.as_str().rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials.to_owned()), place),
            None => (None, authority.as_str()),
        };
        let port = place.strip_prefix(authority.host()).and_then(|rest| rest.strip_prefix(':'));
        let port = port.map(str::parse::<NonZeroU16>).transpose();
        Ok(Self {
            secure,
            host: authority.host().to_owned(),
            port: port.map_err(|_| invalid("expected a port from 1 to 65535"))?,
            credentials,
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

/// Returns a host as name lookup and verification need it: an IPv6 address without its brackets.
pub(super) fn without_brackets(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

impl OrchestratorUrl {
    /// Returns whether TLS is used.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Returns the host without brackets, for name lookup and verification.
    pub(super) fn host(&self) -> &str {
        without_brackets(&self.host)
    }

    pub(super) fn port(&self) -> u16 {
        self.port.map_or(if self.secure { 443 } else { 80 }, NonZeroU16::get)
    }

    /// Returns host and port as in a request for a tunnel.
    pub(super) fn target(&self) -> String {
        format!("{}:{}", self.host, self.port())
    }

    pub(super) fn host_header(&self) -> String {
        self.port.map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }

    /// Returns the beginning of the path of every request.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the beginning of a websocket's address.
    pub(super) fn websocket_prefix(&self) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        format!("{scheme}://{}{}", self.host_header(), self.prefix)
    }

    /// Returns the secret part of the credentials, in every form in which it may appear.
    pub fn secrets(&self) -> Vec<String> {
        self.credentials.as_deref().map_or_else(Vec::new, secrets_of)
    }

    /// Returns the value of the header `Authorization` for the credentials. It is a secret.
    pub fn basic_credentials(&self) -> Option<String> {
        self.credentials.as_deref().map(basic)
    }
}

/// Returns the value of an `Authorization` header for percent-encoded `user:password`.
fn basic(credentials: &str) -> String {
    let decoded: Vec<u8> = percent_encoding::percent_decode_str(credentials).collect();
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(decoded))
}

/// Returns an address without `user:password@` and without its query, even if the address is not valid.
///
/// Everything before the last `@` counts as credentials: a password may contain characters that should be encoded.
pub fn redacted(text: &str) -> String {
    let (scheme, rest) = match text.find("://") {
        Some(end) if text[..end].bytes().all(|byte| byte.is_ascii_alphanumeric()) => text.split_at(end + 3),
        _ => ("", text),
    };
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let (rest, query) = rest.split_once(['?', '#']).map_or((rest, ""), |(rest, _)| (rest, "?…"));
    format!("{scheme}{rest}{query}")
}

/// Returns the secrets in an address: the password (everything before the `@` if there is no `:`), encoded and decoded,
/// and the credentials as in the header `Authorization`.
pub fn secrets_in(address: &str) -> Vec<String> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.rsplit_once('@').map_or_else(Vec::new, |(credentials, _)| secrets_of(credentials))
}

fn secrets_of(credentials: &str) -> Vec<String> {
    let password = credentials.split_once(':').map_or(credentials, |(_, password)| password);
    let decoded = percent_encoding::percent_decode_str(password).decode_utf8_lossy();
    let header = basic(credentials).replace("Basic ", "");
    vec![password.to_owned(), decoded.into_owned(), header]
}

impl fmt::Display for OrchestratorUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", self.host_header(), self.prefix)
    }
}

impl fmt::Debug for OrchestratorUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "OrchestratorUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<OrchestratorUrl, InvalidAddress> {
        text.parse()
    }

    #[test]
    fn schemes_ports_and_prefixes() {
        for (text, shown, port) in [
            ("http://localhost:8080", "http://localhost:8080", 8080),
            ("ws://h/", "http://h", 80),
            ("wss://h/a/b//", "https://h/a/b", 443),
            ("Wss://h", "https://h", 443),
            ("https://[::1]:9/x", "https://[::1]:9/x", 9),
            (" http://127.0.0.1 ", "http://127.0.0.1", 80),
        ] {
            let url = parse(text).expect(text);
            assert_eq!((url.to_string().as_str(), url.port()), (shown, port));
        }
        assert_eq!(parse("http://[::1]:9").expect("an address").host(), "::1");
    }

    #[test]
    fn the_secrets_in_an_address_are_found() {
        assert_eq!(secrets_in("https://me:p%40ss@h/x"), ["p%40ss", "p@ss", "bWU6cEBzcw=="]);
        assert_eq!(secrets_in("me:a@b@p:1"), ["a@b", "a@b", "bWU6YUBi"]);
        assert_eq!(secrets_in("http://token@h")[0], "token");
        assert_eq!(secrets_in("http://h:80/"), [] as [&str; 0]);
        assert_eq!(parse("http://me:p%40ss@h").expect("an address").secrets()[1], "p@ss");
    }

    #[test]
    fn wrong_addresses_are_quoted_without_their_secrets() {
        let long = format!("http://h/{}", "a".repeat(3000));
        for bad in [
            "",
            "localhost",
            "localhost:8080",
            "ftp://u:secret@h",
            "http://",
            "http://h:99999",
            "http://h:0",
            "http://u:secret@",
            "http://h/?a=secret",
            "u:secret@h",
            "http://u:sec/secret@h",
            "http://h:secret@h:x",
            "http://u:s.ecret/secret@h",
            "http://u:se?secret@h",
            "http://u:s#secret@h",
            "http://u:s://secret@h",
            "u:secret://x@h",
            "http:/u:secret@h",
            "http://u:secret@x@h:y",
            "http://u:secret @h",
            "http://h:",
            &long,
        ] {
            let error = parse(bad).expect_err(bad).to_string();
            assert!(!error.contains("secret") && error.len() < 400, "{error}");
        }
    }

    #[test]
    fn other_parts_of_an_address_stay_readable() {
        for (text, shown) in [
            ("https://u:p@h.example:1/a", "https://h.example:1/a"),
            ("h:8080", "h:8080"),
            ("http://h/a?x=1", "http://h/a?…"),
            ("socks5://u@h", "socks5://h"),
            ("", ""),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }

    #[test]
    fn credentials_become_a_header_and_are_never_shown() {
        let url = parse("http://me:p%40ss@h:1").expect("an address");
        assert_eq!(url.basic_credentials().as_deref(), Some("Basic bWU6cEBzcw=="));
        assert!(!format!("{url:?} {url}").contains("p%40ss"));
    }
}
