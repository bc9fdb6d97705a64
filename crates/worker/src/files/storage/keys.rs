//! Access keys of the storage: in the environment of the AWS tools, and in their profiles in `~/.aws/credentials` and
//! `~/.aws/config`, in this order.

use std::path::{Path, PathBuf};

use configparser::ini::Ini;
use rxon::text::excerpt;

use crate::config::{KEY, Problem, Secret, is_key};
use crate::files::error::shown;

/// An access key, its secret key, and the token of a session.
#[derive(Debug, Clone)]
pub(super) struct AccessKeys {
    pub(super) id: Secret,
    pub(super) secret: Secret,
    pub(super) token: Option<Secret>,
}

/// The path of a file of profiles, and the possible names of the profile's section in it.
type ProfileFile = (PathBuf, Vec<String>);

impl AccessKeys {
    /// Returns the keys in the environment of the AWS tools; None without both keys.
    pub(super) fn of_environment(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, Problem> {
        let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
        Self::of_values(names, variable, |name| Problem::new(name, "***", KEY))
    }

    /// Returns the keys of the profile `AWS_PROFILE`, or of `default` if it is not set; None for a profile without keys.
    ///
    /// As with the AWS tools, a profile that `AWS_PROFILE` names must exist.
    pub(super) fn of_profile(
        variable: &dyn Fn(&str) -> Option<String>,
        read: impl Fn(&Path) -> Option<String>,
    ) -> Result<Option<Self>, Problem> {
        let chosen = variable("AWS_PROFILE");
        let profile = chosen.as_deref().unwrap_or("default");
        let files = profile_files(variable, profile);
        let mut is_known = false;
        for (path, sections) in &files {
            let Some(file) = read(path).and_then(parsed) else { continue };
            for section in sections.iter().filter(|section| file.get_map_ref().contains_key(*section)) {
                is_known = true;
                let names = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];
                let value = |name: &str| file.get(section, name).filter(|value| !value.is_empty());
                let keys = Self::of_values(names, value, |name| {
                    let expected = format!("a profile whose `{name}` in `{}` is {KEY}", shown(path));
                    Problem::new("AWS_PROFILE", excerpt(profile), expected)
                })?;
                if keys.is_some() {
                    return Ok(keys);
                }
            }
        }
        if chosen.is_some() && !is_known {
            return Err(unknown(profile, &files));
        }
        if chosen.is_some() {
            let profile = excerpt(profile);
            tracing::warn!(
                "the profile `{profile}` (`AWS_PROFILE`) has no keys: requests to the storage are not signed"
            );
        }
        Ok(None)
    }

    /// Returns the values of these names. One key without the other is ignored, even if it could not be sent in a request.
    fn of_values(
        names: [&str; 3],
        value: impl Fn(&str) -> Option<String>,
        problem: impl Fn(&str) -> Problem,
    ) -> Result<Option<Self>, Problem> {
        let [id, secret, token] = names.map(|name| {
            let checked = |key: String| if is_key(&key) { Ok(Secret::new(key)) } else { Err(problem(name)) };
            value(name).map(checked)
        });
        let (Some(id), Some(secret)) = (id, secret) else { return Ok(None) };
        Ok(Some(Self { id: id?, secret: secret?, token: token.transpose()? }))
    }

    /// Returns all of them.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        [Some(&self.id), Some(&self.secret), self.token.as_ref()].into_iter().flatten().cloned().collect()
    }
}

fn profile_files(variable: &dyn Fn(&str) -> Option<String>, profile: &str) -> Vec<ProfileFile> {
    let home = variable("HOME").or_else(|| variable("USERPROFILE")).map(PathBuf::from);
    let path = |name: &str, file: &str| {
        variable(name).map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(".aws").join(file)))
    };
    let mut in_config = vec![format!("profile {profile}"), format!("profile \"{profile}\"")];
    if profile == "default" {
        in_config.insert(0, profile.to_owned());
    }
    let credentials = path("AWS_SHARED_CREDENTIALS_FILE", "credentials");
    let credentials = credentials.map(|path| (path, vec![profile.to_owned()]));
    let config = path("AWS_CONFIG_FILE", "config").map(|path| (path, in_config));
    credentials.into_iter().chain(config).collect()
}

fn parsed(text: String) -> Option<Ini> {
    let mut file = Ini::new_cs();
    // Secrets may contain `#`.
    file.set_inline_comment_symbols(Some(&[]));
    file.read(text).ok()?;
    Some(file)
}

fn unknown(profile: &str, files: &[ProfileFile]) -> Problem {
    let paths: Vec<_> = files.iter().map(|(path, _)| format!("`{}`", shown(path))).collect();
    let expected = if paths.is_empty() {
        "the name of a profile; without `HOME` there are no files of profiles".to_owned()
    } else {
        format!("the name of a profile in {}", paths.join(" or "))
    };
    Problem::new("AWS_PROFILE", excerpt(profile), expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "[default]\naws_access_key_id = AKIDEFAULT\naws_secret_access_key = a/b=+c#d\n\n\
                               [work]\naws_access_key_id=AKIWORK\naws_secret_access_key=s\naws_session_token=t\n\
                               [strange]\naws_access_key_id=AKI\u{e9}\naws_secret_access_key=s\n";
    const CONFIG: &str = "[default]\nregion = eu\n[profile other]\naws_access_key_id = AKIOTHER\n\
                          aws_secret_access_key = s2\n[profile work]\naws_access_key_id = AKIOTHER\n\
                          aws_secret_access_key = s3\n[profile keyless]\nregion = eu\n\
                          [bare]\naws_access_key_id = AKIBARE\naws_secret_access_key = s4\n";

    fn found(profile: Option<&str>, files: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let variable = |name: &str| match name {
            "AWS_PROFILE" => profile.map(ToOwned::to_owned),
            "HOME" => Some("/h".to_owned()),
            _ => None,
        };
        let read = |path: &Path| {
            files.iter().find(|(known, _)| Path::new(known) == path).map(|(_, text)| (*text).to_owned())
        };
        match AccessKeys::of_profile(&variable, read) {
            Ok(Some(keys)) => Ok(keys.secrets().iter().map(|secret| secret.expose().to_owned()).collect()),
            Ok(None) => Ok(Vec::new()),
            Err(problem) => Err(problem.to_string()),
        }
    }

    #[test]
    fn keys_of_a_profile_are_found_in_either_file() {
        let both = [("/h/.aws/credentials", CREDENTIALS), ("/h/.aws/config", CONFIG)];
        let keys = |profile, files| found(profile, files).expect("no problem");
        assert_eq!(keys(None, &both), ["AKIDEFAULT", "a/b=+c#d"]);
        assert_eq!(keys(Some("work"), &both), ["AKIWORK", "s", "t"]);
        assert_eq!(keys(Some("work"), &both[1..]), ["AKIOTHER", "s3"]);
        assert_eq!(keys(Some("other"), &both), ["AKIOTHER", "s2"]);
        assert_eq!(keys(Some("keyless"), &both), [] as [&str; 0]);
        assert_eq!(keys(None, &both[1..]), [] as [&str; 0]);
        assert_eq!(keys(None, &[]), [] as [&str; 0]);
        let default = "[default]\naws_access_key_id = AKI1\naws_secret_access_key = s\n";
        assert_eq!(keys(None, &[("/h/.aws/config", default)]), ["AKI1", "s"]);
    }

    #[test]
    fn a_profile_that_is_named_must_exist() {
        let both = [("/h/.aws/credentials", CREDENTIALS), ("/h/.aws/config", CONFIG)];
        for profile in ["none", "bare"] {
            assert_eq!(
                found(Some(profile), &both),
                Err(format!(
                    "`AWS_PROFILE` is `{profile}`, expected the name of a profile in `/h/.aws/credentials` or `/h/.aws/config`"
                ))
            );
        }
        assert!(found(Some("default"), &[]).is_err());
        let strange = found(Some("strange"), &both).expect_err("no key");
        assert!(strange.contains("`aws_access_key_id` in `/h/.aws/credentials`"), "{strange}");
        assert!(!strange.contains("AKI"), "{strange}");
    }
}
