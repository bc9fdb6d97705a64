//! Addresses of orchestrators and proxies.

use std::fmt;

use base64::Engine as _;
use http::Uri;
use http::uri::Authority;
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
    port: Option<u16>,
    credentials: Option<String>,
    prefix: String,
}

impl std::str::FromStr for OrchestratorUrl {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = |expected| {
            let value = excerpt(redacted(text.trim()));
            InvalidAddress { value, expected }
        };
        if text.len() > MAX_LENGTH {
            return Err(invalid("expected at most 2048 characters"));
        }
        let uri: Uri = text
            .trim()
            .parse()
            .map_err(|_| invalid("expected something like `http://host:8080` or `https://host/prefix`"))?;
        let scheme = uri.scheme_str().map(str::to_ascii_lowercase);
        let secure = match scheme.as_deref() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            _ => return Err(invalid("expected the scheme http, https, ws or wss")),
        };
        if uri.query().is_some() {
            return Err(invalid("expected no query"));
        }
        let authority = uri.authority().ok_or_else(|| invalid("expected a host"))?;
        if authority.host().is_empty() {
            return Err(invalid("expected a host"));
        }
        // A host that TLS could never verify is an error here already.
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        if secure && ServerName::try_from(name).is_err() {
            return Err(invalid("expected a host name or an IP address"));
        }
        let port_text = authority.as_str().rsplit_once(']').map_or(authority.as_str(), |(_, rest)| rest);
        if port_text.rsplit_once('@').map_or(port_text, |(_, rest)| rest).contains(':')
            && port(authority).is_none()
        {
            return Err(invalid("expected a port from 1 to 65535"));
        }
        let credentials = authority.as_str().rsplit_once('@').map(|(credentials, _)| credentials.to_owned());
        Ok(Self {
            secure,
            host: authority.host().to_owned(),
            port: port(authority),
            credentials,
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

fn port(authority: &Authority) -> Option<u16> {
    authority.port_u16().filter(|port| *port > 0)
}

impl OrchestratorUrl {
    /// Returns whether TLS is used.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Returns the host without brackets, for name lookup and verification.
    pub(super) fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    pub(super) fn port(&self) -> u16 {
        self.port.unwrap_or(if self.secure { 443 } else { 80 })
    }

    pub(super) fn host_header(&self) -> String {
        self.port.map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }

    pub(super) fn path_prefix(&self) -> String {
        self.prefix.clone()
    }

    /// Returns the beginning of the addresses that a forwarding proxy receives.
    pub(super) fn absolute_prefix(&self) -> String {
        format!("http://{}{}", self.host_header(), self.prefix)
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

    /// Returns the address with its credentials.
    pub(super) fn exposed(&self) -> String {
        match &self.credentials {
            Some(credentials) => self.to_string().replacen("://", &format!("://{credentials}@"), 1),
            None => self.to_string(),
        }
    }

    pub(super) fn basic_credentials(&self) -> Option<String> {
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
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => (scheme, rest),
        _ => ("", text),
    };
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let (rest, query) = rest.split_once(['?', '#']).map_or((rest, ""), |(rest, _)| (rest, "?…"));
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}{rest}{query}")
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
