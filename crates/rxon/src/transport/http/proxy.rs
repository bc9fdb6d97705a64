//! The choice of a proxy for a connection.

use std::net::IpAddr;

use super::address::{OrchestratorUrl, redacted};

/// The proxies of the environment.
///
/// `HTTP_PROXY` is for `http` addresses, `HTTPS_PROXY` for `https` addresses. `NO_PROXY` lists the exceptions, separated
/// by commas: host names, suffixes and addresses, each with or without a port, networks such as `10.0.0.0/8`, or `*` for
/// all. A lower-case name counts if the upper-case one is not set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exceptions: Vec<String>,
}

/// A text that is not a valid address of a proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{variable}` is `{value}`, expected the address of an http proxy such as `http://proxy:3128`")]
pub struct InvalidProxy {
    /// The variable with the address.
    pub variable: &'static str,
    /// The value, without credentials.
    pub value: String,
}

/// The address of a proxy, which has the same form as that of an orchestrator.
pub(super) type Proxy = OrchestratorUrl;

impl Proxies {
    /// Reads the variables through `variable`. Empty ones count as not set.
    ///
    /// # Errors
    /// Returns an [`InvalidProxy`] for each wrong variable. Proxies with the scheme `https` are not supported.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<InvalidProxy>> {
        let set = |name: &str| {
            variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let mut problems = Vec::new();
        let mut proxy = |upper: &'static str, lower: &str| {
            let value = set(upper).or_else(|| set(lower))?;
            let address = if value.contains("://") { value.clone() } else { format!("http://{value}") };
            match address.parse::<OrchestratorUrl>() {
                Ok(url) if !url.is_secure() => Some(url),
                _ => {
                    problems.push(InvalidProxy { variable: upper, value: redacted(&value) });
                    None
                }
            }
        };
        let http = proxy("HTTP_PROXY", "http_proxy");
        let https = proxy("HTTPS_PROXY", "https_proxy");
        let exceptions = set("NO_PROXY").or_else(|| set("no_proxy")).unwrap_or_default();
        let exceptions =
            exceptions.split(',').map(|entry| entry.trim().to_lowercase()).filter(|entry| !entry.is_empty());
        let proxies = Self { http, https, exceptions: exceptions.collect() };
        if problems.is_empty() { Ok(proxies) } else { Err(problems) }
    }

    pub(super) fn choose(&self, secure: bool, host: &str, port: u16) -> Option<&Proxy> {
        let proxy = if secure { &self.https } else { &self.http };
        proxy.as_ref().filter(|_| !self.exceptions.iter().any(|entry| matches(entry, host, port)))
    }
}

fn matches(entry: &str, host: &str, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    let (name, only_port) = split(entry);
    if only_port.is_some_and(|only| only != port) {
        return false;
    }
    let host = host.to_lowercase();
    if let Ok(address) = host.parse() {
        return covers(name, address);
    }
    let suffix = name.trim_start_matches('*').trim_start_matches('.');
    host == suffix || host.ends_with(&format!(".{suffix}"))
}

/// Splits an entry into name and port. An IPv6 address with a port is in brackets.
fn split(entry: &str) -> (&str, Option<u16>) {
    let (name, port) = match entry.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((address, rest)) => (address, rest.strip_prefix(':')),
        None => match entry.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') => (name, Some(port)),
            _ => (entry, None),
        },
    };
    (name, port.and_then(|port| port.parse().ok()))
}

/// Returns whether an entry is this address, however it is written, or a network that contains it.
fn covers(entry: &str, address: IpAddr) -> bool {
    let (network, length) = match entry.split_once('/') {
        Some((network, length)) => (network, length.parse().ok()),
        None => (entry, Some(128)),
    };
    let (Ok(network), Some(length)) = (network.parse(), length) else { return false };
    let bits = |address| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32_u32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let ((network, width), (address, same_width)) = (bits(network), bits(address));
    width == same_width && (network ^ address).checked_shr(width.saturating_sub(length)).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::super::address::without_brackets;
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, Vec<InvalidProxy>> {
        Proxies::read(|name| {
            variables.iter().find_map(|(key, value)| (*key == name).then(|| (*value).to_owned()))
        })
    }

    fn chosen(proxies: &Proxies, url: &str) -> Option<String> {
        let url: OrchestratorUrl = url.parse().expect(url);
        proxies.choose(url.is_secure(), url.host(), url.port()).map(ToString::to_string)
    }

    #[test]
    fn each_scheme_has_a_proxy_of_its_own() {
        let proxies = proxies(&[("http_proxy", "plain:1"), ("HTTPS_PROXY", "http://u:secret@tls:2")])
            .expect("two proxies");
        assert_eq!(chosen(&proxies, "http://h").as_deref(), Some("http://plain:1"));
        assert_eq!(chosen(&proxies, "https://h").as_deref(), Some("http://tls:2"));
        assert!(!format!("{proxies:?}").contains("secret"));
    }

    #[test]
    fn exceptions_are_hosts_suffixes_and_ports() {
        let set = [
            ("HTTP_PROXY", "p:1"),
            (
                "NO_PROXY",
                "localhost, .corp.example,*.star,10.0.0.1,H:8080,::1,[::2],[::3]:80,172.16.0.0/12,fd00::/8",
            ),
        ];
        let proxies = proxies(&set).expect("a proxy");
        for direct in [
            "http://localhost",
            "http://a.corp.example",
            "http://corp.example",
            "http://10.0.0.1:9",
            "http://h:8080",
            "http://[::1]:80",
            "http://[0:0::1]",
            "http://[::2]:9",
            "http://[::3]",
            "http://a.star",
            "http://172.31.9.9",
            "http://[fd12::1]",
            "http://H:8080",
        ] {
            assert_eq!(chosen(&proxies, direct), None, "{direct}");
        }
        for (host, port, direct) in [("[::3]", 80, true), ("[::3]", 81, false), ("H", 8080, true)] {
            assert_eq!(
                proxies.choose(false, without_brackets(host), port).is_none(),
                direct,
                "{host}:{port}"
            );
        }
        for through in [
            "http://notlocalhost",
            "http://acorp.example",
            "http://h:8081",
            "http://[::3]:81",
            "http://172.32.0.1",
            "http://110.0.0.1",
            "http://10.0.0.10",
            "http://[fe00::1]",
            "http://1.10.0.0.1.example",
        ] {
            assert!(chosen(&proxies, through).is_some(), "{through}");
        }
    }

    #[test]
    fn a_wrong_proxy_is_quoted_without_its_credentials() {
        let problems = proxies(&[("HTTP_PROXY", "socks5://u:secret@h:1"), ("HTTPS_PROXY", "https://x")])
            .expect_err("neither is an http proxy");
        assert_eq!(problems.len(), 2);
        assert!(!problems[0].to_string().contains("secret"), "{}", problems[0]);
    }
}
