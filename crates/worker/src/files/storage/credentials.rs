//! The credentials for requests to the storage.
//!
//! The first that exist are used: `S3_ACCESS_KEY` and `S3_SECRET_KEY`; the environment of the AWS tools
//! (`AWS_ACCESS_KEY_ID` …, a web identity, a container's address); their profile (`AWS_PROFILE`). Without any, requests
//! are not signed. The metadata service of an instance is never asked: on other machines, requests to it only time out.

use std::env;
use std::path::Path;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use rxon::text::excerpt;
use rxon::transport::http::redacted;
use url::Url;

use super::keys::AccessKeys;
use crate::config::{KEY, Problem, Secret, is_key};

/// The variables of a role, set in the environment of a container or a pod.
const ROLE: [(&str, AmazonS3ConfigKey); 7] = [
    ("AWS_WEB_IDENTITY_TOKEN_FILE", AmazonS3ConfigKey::WebIdentityTokenFile),
    ("AWS_ROLE_ARN", AmazonS3ConfigKey::RoleArn),
    ("AWS_ROLE_SESSION_NAME", AmazonS3ConfigKey::RoleSessionName),
    ("AWS_ENDPOINT_URL_STS", AmazonS3ConfigKey::StsEndpoint),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", AmazonS3ConfigKey::ContainerCredentialsRelativeUri),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", AmazonS3ConfigKey::ContainerCredentialsFullUri),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", AmazonS3ConfigKey::ContainerAuthorizationTokenFile),
];

/// The way of signing requests to the storage.
#[derive(Debug, Clone)]
pub(super) enum Credentials {
    Keys(AccessKeys),
    /// With the keys of a role, which are fetched, and again before they expire.
    Role(Vec<(AmazonS3ConfigKey, String)>),
    /// Not signed.
    Anonymous,
}

impl Credentials {
    /// Returns the configured keys, or the credentials of the AWS tools.
    pub(super) fn find(configured: Option<(Secret, Secret)>) -> Result<Self, Problem> {
        if let Some((id, secret)) = configured {
            return Ok(Self::Keys(AccessKeys { id, secret, token: None }));
        }
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let read = |path: &Path| std::fs::read_to_string(path).ok();
        Self::of_aws(&variable, read)
    }

    fn of_aws(
        variable: &dyn Fn(&str) -> Option<String>,
        read: impl Fn(&Path) -> Option<String>,
    ) -> Result<Self, Problem> {
        if let Some(keys) = AccessKeys::of_environment(variable)? {
            return Ok(Self::Keys(keys));
        }
        let role: Vec<_> =
            ROLE.iter().filter_map(|(name, key)| variable(name).map(|value| (*key, value))).collect();
        let has = |wanted: AmazonS3ConfigKey| role.iter().any(|(key, _)| *key == wanted);
        let by_identity = has(AmazonS3ConfigKey::WebIdentityTokenFile) && has(AmazonS3ConfigKey::RoleArn);
        let by_address = has(AmazonS3ConfigKey::ContainerCredentialsRelativeUri)
            || (has(AmazonS3ConfigKey::ContainerCredentialsFullUri)
                && has(AmazonS3ConfigKey::ContainerAuthorizationTokenFile));
        if by_identity || by_address {
            return match ROLE.iter().find_map(|(name, _)| wrong_in_role(name, &variable(name)?, &read)) {
                Some(problem) => Err(problem),
                None => Ok(Self::Role(role)),
            };
        }
        Ok(AccessKeys::of_profile(variable, read)?.map_or(Self::Anonymous, Self::Keys))
    }

    /// Returns the keys that are known without fetching.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::Keys(keys) => keys.secrets(),
            Self::Role(_) | Self::Anonymous => Vec::new(),
        }
    }

    pub(super) fn add_to(&self, builder: AmazonS3Builder) -> AmazonS3Builder {
        match self {
            Self::Keys(AccessKeys { id, secret, token }) => {
                let builder = builder.with_access_key_id(id.expose()).with_secret_access_key(secret.expose());
                match token {
                    Some(token) => builder.with_token(token.expose()),
                    None => builder,
                }
            }
            Self::Role(role) => {
                role.iter().fold(builder, |builder, (key, value)| builder.with_config(*key, value))
            }
            Self::Anonymous => builder.with_skip_signature(true),
        }
    }
}

/// Returns the problem of a variable of [`ROLE`] on whose value the library would panic.
fn wrong_in_role(name: &str, value: &str, read: impl Fn(&Path) -> Option<String>) -> Option<Problem> {
    let is_address = |text: &str| {
        let url = Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        url && text.parse::<http::Uri>().is_ok()
    };
    let shown = || excerpt(redacted(value));
    match name {
        "AWS_ENDPOINT_URL_STS" | "AWS_CONTAINER_CREDENTIALS_FULL_URI" if !is_address(value) => {
            Some(Problem::new(name, shown(), "an address such as `http://host/path`"))
        }
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
            if !value.starts_with('/') || !is_address(&format!("http://host{value}")) =>
        {
            Some(Problem::new(name, shown(), "the path of an address such as `/path`"))
        }
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
            if read(Path::new(value)).is_some_and(|token| !is_key(&token)) =>
        {
            Some(Problem::new(name, shown(), format!("a file whose text is {KEY}")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[work]\naws_access_key_id=AKIWORK\naws_secret_access_key=s\naws_session_token=t\n";

    fn found(variables: &[(&str, &str)], file: Option<&str>) -> Result<Vec<String>, String> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        match Credentials::of_aws(&variable, |_| file.map(ToOwned::to_owned)) {
            Ok(Credentials::Role(role)) => Ok(role.into_iter().map(|(_, value)| value).collect()),
            Ok(keys) => Ok(keys.secrets().iter().map(|secret| secret.expose().to_owned()).collect()),
            Err(problem) => Err(problem.to_string()),
        }
    }

    #[test]
    fn the_first_credentials_that_exist_are_used() {
        let keys = |variables: &[(&str, &str)], file| found(variables, file).expect("no problem");
        let profile = ("AWS_PROFILE", "work");
        let own = [("AWS_ACCESS_KEY_ID", "AKIENV"), ("AWS_SECRET_ACCESS_KEY", "s"), ("HOME", "/h"), profile];
        assert_eq!(keys(&own, Some(FILE)), ["AKIENV", "s"]);
        assert_eq!(keys(&own[1..], Some(FILE)), ["AKIWORK", "s", "t"]);
        let role =
            [("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"), ("AWS_ROLE_ARN", "arn"), ("HOME", "/h"), profile];
        assert_eq!(keys(&role, Some(FILE)), ["/token", "arn"]);
        assert_eq!(keys(&role[..1], None), [] as [&str; 0]);
        assert_eq!(keys(&[profile, ("HOME", "/h")], Some(FILE)), ["AKIWORK", "s", "t"]);
        assert_eq!(keys(&[("HOME", "/h")], Some(FILE)), [] as [&str; 0]);
        assert_eq!(keys(&[], Some(FILE)), [] as [&str; 0]);
    }

    #[test]
    fn values_that_cannot_be_sent_are_reported_at_start() {
        let token = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/token");
        let address = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/keys");
        let id = ("AWS_ACCESS_KEY_ID", "AKI1");
        for (variables, named) in [
            (&[("AWS_ACCESS_KEY_ID", "AKI1\n"), ("AWS_SECRET_ACCESS_KEY", "s")][..], "AWS_ACCESS_KEY_ID"),
            (&[id, ("AWS_SECRET_ACCESS_KEY", " AKI1")], "AWS_SECRET_ACCESS_KEY"),
            (&[id, ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_SESSION_TOKEN", "AKI1\u{e9}")], "AWS_SESSION_TOKEN"),
            (&[token, address], "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
            (&[token, (address.0, "keys here")], "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
            (&[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "keys")], "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        ] {
            let problem = found(variables, Some("AKI1\n")).expect_err("it is reported");
            assert!(problem.contains(&format!("`{named}` is")), "{problem}");
            assert!(!problem.contains("AKI1") && !problem.contains('\n'), "{problem}");
        }
        assert_eq!(found(&[token, address], Some("fine")).expect("fine"), [address.1, token.1]);
    }
}
