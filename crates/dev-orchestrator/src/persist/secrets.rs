//! The token and the storage's keys, made at random once.

use std::fs::File;
use std::io::Read as _;

use super::error::StateError;
use super::folder::{Folder, KEYS, TOKEN};

/// The secrets of a directory.
#[derive(Clone)]
pub(super) struct Secrets {
    pub(super) token: String,
    pub(super) access_key: String,
    pub(super) secret_key: String,
}

impl Secrets {
    /// Reads the secrets, and makes those that are missing.
    pub(super) fn of(folder: &Folder) -> Result<Self, StateError> {
        let ([token], [access_key, secret_key]) = (kept(folder, TOKEN)?, kept(folder, KEYS)?);
        Ok(Self { token, access_key, secret_key })
    }
}

/// Returns the secrets in a file, one a line. A file with anything else is made anew.
fn kept<const COUNT: usize>(folder: &Folder, name: &str) -> Result<[String; COUNT], StateError> {
    let text = folder.read(name)?.unwrap_or_default();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let lines = <[String; COUNT]>::try_from(lines).ok();
    if let Some(secrets) = lines.filter(|lines| lines.iter().all(|line| is_secret(line))) {
        return Ok(secrets);
    }
    let mut secrets = [(); COUNT].map(|()| String::new());
    for secret in &mut secrets {
        *secret = random()?;
    }
    folder.write(name, &format!("{}\n", secrets.join("\n")))?;
    Ok(secrets)
}

fn is_secret(line: &str) -> bool {
    line.len() >= 16 && line.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns 32 hexadecimal digits that nobody can guess.
fn random() -> Result<String, StateError> {
    const SOURCE: &str = "/dev/urandom";
    let mut bytes = [0; 16];
    let read = File::open(SOURCE).and_then(|mut source| source.read_exact(&mut bytes));
    read.map_err(StateError::unusable(SOURCE))?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}
