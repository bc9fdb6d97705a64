//! The address of the server.

use std::net::IpAddr;

use anyhow::Context;
use http::Uri;
use rxon::transport::http::OrchestratorUrl;

use crate::exit::Failure;

/// The address without options and variables.
const DEFAULT: &str = "http://127.0.0.1:8080";

/// The variables, the first one that is set counts.
const VARIABLES: [&str; 2] = ["AVTOMATIKA_URL", "ORCHESTRATOR_URL"];

/// The address of a server. Credentials in it are never printed.
#[derive(Debug)]
pub(super) struct Address(OrchestratorUrl);

impl Address {
    /// Takes the address of the option, or of a variable. Empty ones count as not set.
    pub(super) fn choose(
        option: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let given = option.map(|option| ("--server", option.to_owned()));
        let set = VARIABLES.iter().filter_map(|name| Some((*name, variable(name)?)));
        let found = given.into_iter().chain(set).find(|(_, value)| !value.trim().is_empty());
        let (source, value) = found.unwrap_or(("the default", DEFAULT.to_owned()));
        let url = value.parse::<OrchestratorUrl>().with_context(|| format!("`{source}`"));
        url.map(Self).map_err(Failure::usage)
    }

    /// The address.
    pub(super) fn url(&self) -> &OrchestratorUrl {
        &self.0
    }

    /// Whether the server is on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let uri: Option<Uri> = self.0.to_string().parse().ok();
        uri.as_ref().and_then(Uri::host).is_some_and(|host| {
            let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
            host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(option: Option<&str>, variables: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Address::choose(option, variable).ok().map(|address| address.url().to_string())
    }

    #[test]
    fn the_option_wins_over_the_variables_and_empty_ones_do_not_count() {
        let both = [("AVTOMATIKA_URL", "http://one"), ("ORCHESTRATOR_URL", "ws://two/prefix/")];
        assert_eq!(choose(Some("https://three:1"), &both).as_deref(), Some("https://three:1"));
        assert_eq!(choose(Some(""), &both).as_deref(), Some("http://one"));
        assert_eq!(choose(None, &[("AVTOMATIKA_URL", " "), both[1]]).as_deref(), Some("http://two/prefix"));
        assert_eq!(choose(None, &[]).as_deref(), Some(DEFAULT));
        assert_eq!(choose(None, &[("AVTOMATIKA_URL", "nonsense")]), None);
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, expected) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]/x", true),
            ("http://LOCALHOST", true),
            ("http://me:secret@localhost:1", true),
            ("http://192.168.0.1", false),
            ("http://localhost.example", false),
        ] {
            let address = Address::choose(Some(text), |_| None).unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(address.is_loopback(), expected, "{text}");
        }
    }
}
