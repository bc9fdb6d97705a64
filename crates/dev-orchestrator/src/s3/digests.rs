//! Checksums: the `ETag`, and the checksums that a client declares for a body.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::Checksum;
use s3s::{S3Result, TrailingHeaders, s3_error};

/// The checksums of a body, computed while it is received.
pub(super) struct Digests {
    md5: Md5,
    others: ChecksumHasher,
}

impl Digests {
    pub(super) fn update(&mut self, piece: &[u8]) {
        self.md5.update(piece);
        self.others.update(piece);
    }
}

impl fmt::Debug for Digests {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Digests").finish_non_exhaustive()
    }
}

/// The checksums that a client declares for a body.
#[derive(Debug, Default)]
pub(super) struct Declared {
    /// `Content-MD5`, base64.
    pub(super) md5: Option<String>,
    /// The checksums in headers.
    pub(super) checksum: Checksum,
    /// The headers after the body.
    pub(super) trailers: Option<TrailingHeaders>,
    /// `x-amz-trailer`: the names of the headers after the body.
    pub(super) announced: String,
}

impl Declared {
    /// Returns the checksums to compute.
    pub(super) fn digests(&self) -> Digests {
        let is_wanted =
            |header: &Option<String>, name: &str| header.is_some() || self.announced.contains(name);
        let mut others = ChecksumHasher::default();
        if is_wanted(&self.checksum.checksum_crc32, "checksum-crc32") {
            others.crc32 = Some(Crc32::default());
        }
        if is_wanted(&self.checksum.checksum_crc32c, "checksum-crc32c") {
            others.crc32c = Some(Crc32c::default());
        }
        if is_wanted(&self.checksum.checksum_crc64nvme, "checksum-crc64nvme") {
            others.crc64nvme = Some(Crc64Nvme::default());
        }
        if is_wanted(&self.checksum.checksum_sha1, "checksum-sha1") {
            others.sha1 = Some(Sha1::default());
        }
        if is_wanted(&self.checksum.checksum_sha256, "checksum-sha256") {
            others.sha256 = Some(Sha256::default());
        }
        Digests { md5: Md5::new(), others }
    }

    /// Compares the declared checksums with the computed ones, and returns the MD5.
    pub(super) fn verify(self, digests: Digests) -> S3Result<[u8; 16]> {
        let md5 = digests.md5.finalize();
        check("Content-MD5", self.md5.as_deref(), Some(&STANDARD.encode(md5)))?;
        let computed = digests.others.finalize();
        let declared = &self.checksum;
        let trailers = self.trailers.as_ref().and_then(TrailingHeaders::take).unwrap_or_default();
        let rows = [
            ("x-amz-checksum-crc32", &declared.checksum_crc32, &computed.checksum_crc32),
            ("x-amz-checksum-crc32c", &declared.checksum_crc32c, &computed.checksum_crc32c),
            ("x-amz-checksum-crc64nvme", &declared.checksum_crc64nvme, &computed.checksum_crc64nvme),
            ("x-amz-checksum-sha1", &declared.checksum_sha1, &computed.checksum_sha1),
            ("x-amz-checksum-sha256", &declared.checksum_sha256, &computed.checksum_sha256),
        ];
        for (name, header, computed) in rows {
            check(name, header.as_deref(), computed.as_deref())?;
            let trailer = trailers.get(name).and_then(|value| value.to_str().ok());
            check(name, trailer, computed.as_deref())?;
        }
        Ok(md5)
    }
}

fn check(name: &str, declared: Option<&str>, computed: Option<&str>) -> S3Result<()> {
    match (declared, computed) {
        (Some(declared), Some(computed)) if declared != computed => {
            Err(s3_error!(BadDigest, "{name} is `{declared}`, the received body has `{computed}`"))
        }
        _ => Ok(()),
    }
}

/// Returns the `ETag` of an object that was uploaded in one piece: its MD5.
pub(super) fn of_one(md5: [u8; 16]) -> String {
    hex(&md5)
}

/// Returns the `ETag` of an object that was uploaded in parts: the MD5 of their MD5s, and their number.
pub(super) fn of_parts(parts: &[[u8; 16]]) -> String {
    let mut all = Md5::new();
    for md5 in parts {
        all.update(md5);
    }
    format!("{}-{}", hex(&all.finalize()), parts.len())
}

/// Returns bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).expect("four bits"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_are_those_of_s3() {
        let empty = Declared::default();
        let digests = empty.digests();
        let md5 = empty.verify(digests).expect("nothing was declared");
        assert_eq!(of_one(md5), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(of_parts(&[md5, md5]), "5873dd45edd01f09c1ef2e7819369e8e-2");
    }

    #[test]
    fn declared_checksums_are_compared() {
        let right = Checksum { checksum_crc32: Some("DUoRhQ==".to_owned()), ..Checksum::default() };
        let wrong = Checksum { checksum_crc32: Some("AAAAAA==".to_owned()), ..Checksum::default() };
        for (checksum, is_good) in [(right, true), (wrong, false)] {
            let declared = Declared { checksum, ..Declared::default() };
            let mut digests = declared.digests();
            digests.update(b"hello world");
            assert_eq!(declared.verify(digests).is_ok(), is_good);
        }
        let declared = Declared { md5: Some("AAAA".to_owned()), ..Declared::default() };
        let digests = declared.digests();
        let error = declared.verify(digests).expect_err("it is another one");
        assert!(error.message().is_some_and(|text| text.contains("`AAAA`")), "{error:?}");
    }
}
