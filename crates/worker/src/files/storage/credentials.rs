//! With which keys the storage is asked.
//!
//! The first that is there: `S3_ACCESS_KEY` and `S3_SECRET_KEY`; the environment of the AWS tools
//! (`AWS_ACCESS_KEY_ID` …, a web identity, a container's address); their profile (`AWS_PROFILE`); none, for what
//! anybody may read. The metadata service of an instance is never asked: elsewhere it would be waited for.

use std::env;
use std::path::PathBuf;

use configparser::ini::Ini;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

use crate::config::{ConfigError, Problem, Secret, WorkerConfig};

/// What makes up a role that the environment of a container or a pod gives.
const ROLE: [(&str, AmazonS3ConfigKey); 7] = [
    ("AWS_WEB_IDENTITY_TOKEN_FILE", AmazonS3ConfigKey::WebIdentityTokenFile),
    ("AWS_ROLE_ARN", AmazonS3ConfigKey::RoleArn),
    ("AWS_ROLE_SESSION_NAME", AmazonS3ConfigKey::RoleSessionName),
    ("AWS_ENDPOINT_URL_STS", AmazonS3ConfigKey::StsEndpoint),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", AmazonS3ConfigKey::ContainerCredentialsRelativeUri),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", AmazonS3ConfigKey::ContainerCredentialsFullUri),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", AmazonS3ConfigKey::ContainerAuthorizationTokenFile),
];

/// How requests to the storage are signed.
#[derive(Debug, Clone)]
pub(super) enum Credentials {
    Keys {
        id: Secret,
        secret: Secret,
        token: Option<Secret>,
    },
    /// Fetched, and fetched again before they end.
    Role(Vec<(AmazonS3ConfigKey, String)>),
    /// Not at all.
    Anonymous,
}

impl Credentials {
    pub(super) fn find(config: &WorkerConfig) -> Result<Self, ConfigError> {
        let given = |secret: &Option<Secret>| secret.clone().filter(|secret| !secret.is_empty());
        let missing = |variable: &str, expected: &str| {
            Err(ConfigError::new(vec![Problem::new(variable, "", expected)]))
        };
        match (given(&config.s3_access_key), given(&config.s3_secret_key)) {
            (Some(id), Some(secret)) => Ok(Self::Keys { id, secret, token: None }),
            (Some(_), None) => missing("S3_SECRET_KEY", "the secret key of `S3_ACCESS_KEY`"),
            (None, Some(_)) => missing("S3_ACCESS_KEY", "the access key of `S3_SECRET_KEY`"),
            (None, None) => {
                let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
                Ok(Self::of_aws(&variable, |path| std::fs::read_to_string(path).ok()))
            }
        }
    }

    fn of_aws(variable: &dyn Fn(&str) -> Option<String>, read: impl Fn(&PathBuf) -> Option<String>) -> Self {
        let secret = |name: &str| variable(name).map(Secret::new);
        if let (Some(id), Some(secret_key)) = (secret("AWS_ACCESS_KEY_ID"), secret("AWS_SECRET_ACCESS_KEY")) {
            return Self::Keys { id, secret: secret_key, token: secret("AWS_SESSION_TOKEN") };
        }
        let role: Vec<_> =
            ROLE.iter().filter_map(|(name, key)| variable(name).map(|value| (*key, value))).collect();
        let has = |wanted: AmazonS3ConfigKey| role.iter().any(|(key, _)| *key == wanted);
        let by_identity = has(AmazonS3ConfigKey::WebIdentityTokenFile) && has(AmazonS3ConfigKey::RoleArn);
        let by_address = has(AmazonS3ConfigKey::ContainerCredentialsRelativeUri)
            || (has(AmazonS3ConfigKey::ContainerCredentialsFullUri)
                && has(AmazonS3ConfigKey::ContainerAuthorizationTokenFile));
        if by_identity || by_address {
            return Self::Role(role);
        }
        let file = variable("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from).or_else(|| {
            let home = variable("HOME").or_else(|| variable("USERPROFILE"))?;
            Some(PathBuf::from(home).join(".aws/credentials"))
        });
        let profile = variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
        let text = file.and_then(|file| read(&file));
        text.and_then(|text| of_profile(text, &profile)).unwrap_or(Self::Anonymous)
    }

    pub(super) fn give_to(&self, builder: AmazonS3Builder) -> AmazonS3Builder {
        match self {
            Self::Keys { id, secret, token } => {
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

/// The keys of one profile of a file of the AWS tools.
fn of_profile(text: String, profile: &str) -> Option<Credentials> {
    let mut file = Ini::new_cs();
    // Secrets may have `#` in them.
    file.set_inline_comment_symbols(Some(&[]));
    file.read(text).ok()?;
    let value = |name: &str| file.get(profile, name).filter(|value| !value.is_empty()).map(Secret::new);
    let (id, secret) = (value("aws_access_key_id")?, value("aws_secret_access_key")?);
    Some(Credentials::Keys { id, secret, token: value("aws_session_token") })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[default]\naws_access_key_id = AKIDEFAULT\naws_secret_access_key = a/b=+c#d\n\n\
                        [work]\naws_access_key_id=AKIWORK\naws_secret_access_key=s\naws_session_token=t\n";

    fn found(variables: &[(&str, &str)], file: Option<&str>) -> Vec<String> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        match Credentials::of_aws(&variable, |_| file.map(ToOwned::to_owned)) {
            Credentials::Keys { id, secret, token } => [Some(id), Some(secret), token]
                .into_iter()
                .flatten()
                .map(|secret| secret.expose().to_owned())
                .collect(),
            Credentials::Role(role) => role.into_iter().map(|(_, value)| value).collect(),
            Credentials::Anonymous => Vec::new(),
        }
    }

    #[test]
    fn the_first_that_is_there_counts() {
        let keys = [("AWS_ACCESS_KEY_ID", "AKIENV"), ("AWS_SECRET_ACCESS_KEY", "s"), ("HOME", "/h")];
        assert_eq!(found(&keys, Some(FILE)), ["AKIENV", "s"]);
        let role = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"), ("AWS_ROLE_ARN", "arn"), ("HOME", "/h")];
        assert_eq!(found(&role, Some(FILE)), ["/token", "arn"]);
        assert_eq!(found(&role[..1], None), [] as [&str; 0]);
        assert_eq!(found(&[("HOME", "/h")], Some(FILE)), ["AKIDEFAULT", "a/b=+c#d"]);
        let other = [("AWS_PROFILE", "work"), ("HOME", "/h")];
        assert_eq!(found(&other, Some(FILE)), ["AKIWORK", "s", "t"]);
        assert_eq!(found(&[("AWS_PROFILE", "none"), ("HOME", "/h")], Some(FILE)), [] as [&str; 0]);
        assert_eq!(found(&[], Some(FILE)), [] as [&str; 0]);
    }

    #[test]
    fn one_key_without_the_other_is_a_mistake() {
        let mut config = WorkerConfig::defaults();
        config.s3_access_key = Some("AKI".into());
        let error = Credentials::find(&config).expect_err("half of it").to_string();
        assert!(error.contains("`S3_SECRET_KEY`") && !error.contains("AKI"), "{error}");
    }
}
