//! The profiles of the AWS tools in `~/.aws/credentials` and `~/.aws/config`, in this order.

use std::path::{Path, PathBuf};

use configparser::ini::Ini;
use rxon::text::excerpt;

use super::keys::{AccessKeys, usable};
use crate::config::Problem;
use crate::files::text::shown;

/// One of the two files.
struct ProfileFile {
    path: PathBuf,
    /// The possible names of the profile's section.
    sections: Vec<String>,
}

/// Returns the keys of the profile `AWS_PROFILE`, or of `default` if it is not set; None for a profile without keys.
///
/// As with the AWS tools, a profile that `AWS_PROFILE` names must exist.
pub(super) fn keys(
    variable: &dyn Fn(&str) -> Option<String>,
    read: impl Fn(&Path) -> Option<String>,
) -> Result<Option<AccessKeys>, Problem> {
    let named = variable("AWS_PROFILE");
    let profile = named.as_deref().unwrap_or("default");
    let files = files(variable, profile);
    let mut is_known = false;
    for profile_file in &files {
        let Some(file) = read(&profile_file.path).and_then(parsed) else { continue };
        let sections =
            profile_file.sections.iter().filter(|section| file.get_map_ref().contains_key(*section));
        for section in sections {
            is_known = true;
            let value = |name: &str| file.get(section, name).filter(|value| !value.is_empty());
            let (Some(id), Some(secret)) = (value("aws_access_key_id"), value("aws_secret_access_key"))
            else {
                continue;
            };
            let checked = |name: &str, value: String| {
                usable(value).map_err(|expected| {
                    let expected =
                        format!("a profile whose `{name}` in `{}` is {expected}", shown(&profile_file.path));
                    Problem::new("AWS_PROFILE", excerpt(profile), expected)
                })
            };
            return Ok(Some(AccessKeys {
                id: checked("aws_access_key_id", id)?,
                secret: checked("aws_secret_access_key", secret)?,
                token: value("aws_session_token")
                    .map(|token| checked("aws_session_token", token))
                    .transpose()?,
            }));
        }
    }
    match named {
        Some(profile) if !is_known => Err(unknown(&profile, &files)),
        Some(profile) => {
            let profile = excerpt(&profile);
            tracing::warn!(
                "the profile `{profile}` (`AWS_PROFILE`) has no keys: requests to the storage are not signed"
            );
            Ok(None)
        }
        None => Ok(None),
    }
}

fn files(variable: &dyn Fn(&str) -> Option<String>, profile: &str) -> Vec<ProfileFile> {
    let home = variable("HOME").or_else(|| variable("USERPROFILE")).map(PathBuf::from);
    let path = |name: &str, file: &str| {
        variable(name).map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(".aws").join(file)))
    };
    let mut in_config = vec![format!("profile {profile}"), format!("profile \"{profile}\"")];
    if profile == "default" {
        in_config.insert(0, profile.to_owned());
    }
    let credentials = path("AWS_SHARED_CREDENTIALS_FILE", "credentials");
    let config = path("AWS_CONFIG_FILE", "config");
    credentials
        .map(|path| ProfileFile { path, sections: vec![profile.to_owned()] })
        .into_iter()
        .chain(config.map(|path| ProfileFile { path, sections: in_config }))
        .collect()
}

fn parsed(text: String) -> Option<Ini> {
    let mut file = Ini::new_cs();
    // Secrets may contain `#`.
    file.set_inline_comment_symbols(Some(&[]));
    file.read(text).ok()?;
    Some(file)
}

fn unknown(profile: &str, files: &[ProfileFile]) -> Problem {
    let paths: Vec<_> = files.iter().map(|file| format!("`{}`", shown(&file.path))).collect();
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
        match keys(&variable, read) {
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
