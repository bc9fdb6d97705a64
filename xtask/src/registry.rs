//! Packages of the npm registry: downloaded with curl, checked, and read with tar.

use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256, Sha512};

use crate::failure::{Failure, Result};

/// Downloads the archive of a package to `file`.
pub(crate) fn download(url: &str, file: &Path) -> Result {
    let mut command = Command::new("curl");
    command.args(["--fail", "--silent", "--show-error", "--location", "--retry", "3", "--max-time", "60"]);
    command.arg("--output").arg(file).arg(url);
    run(command).map(drop).map_err(|failure| Failure::new(format!("`{url}` cannot be had: {failure}")))
}

/// Checks an archive against the `integrity` of the registry: `sha512-` and the hash in base64.
pub(crate) fn check_integrity(archive: &[u8], expected: &str) -> Result {
    let found = format!("sha512-{}", STANDARD.encode(Sha512::digest(archive)));
    if found == expected {
        return Ok(());
    }
    Err(Failure::new(format!("the archive has the integrity `{found}`, expected `{expected}`")))
}

/// Returns one file of an archive.
pub(crate) fn read(archive: &Path, path: &str) -> Result<Vec<u8>> {
    let mut command = Command::new("tar");
    command.args(["--extract", "--gzip", "--to-stdout", "--file"]).arg(archive).arg(path);
    run(command)
}

/// Returns the SHA-256 of a file as hexadecimal digits.
pub(crate) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn run(mut command: Command) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let ran = command.stdin(Stdio::null()).output();
    let ran = ran.map_err(|error| Failure::new(format!("cannot run {program}: {error}")))?;
    if ran.status.success() {
        return Ok(ran.stdout);
    }
    Err(Failure::new(String::from_utf8_lossy(&ran.stderr).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_registry() {
        // printf abc | sha256sum; printf abc | openssl dgst -sha512 -binary | base64
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), hash);
        let integrity =
            "sha512-3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==";
        assert!(check_integrity(b"abc", integrity).is_ok());
        let message = check_integrity(b"abd", integrity).unwrap_err().to_string();
        assert!(message.contains(integrity), "{message}");
    }
}
