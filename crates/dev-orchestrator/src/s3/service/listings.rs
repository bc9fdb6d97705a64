//! Listings of buckets, objects, parts and uploads.

use s3s::dto::{
    Bucket, CommonPrefix, EncodingType, ListBucketsOutput, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
    ListPartsInput, ListPartsOutput, MultipartUpload, Object, ObjectStorageClass, Part,
};
use s3s::{S3Result, s3_error};

use super::strong;
use crate::s3::digests;
use crate::s3::listing::{Page, Query, page};
use crate::s3::store::{self, Buckets, UploadAddress};

/// The largest number of entries on a page, as in S3.
const MAX_ENTRIES: i32 = 1000;

pub(super) fn buckets(store: &Buckets) -> ListBucketsOutput {
    let buckets = store.buckets().into_iter().map(|(name, created)| Bucket {
        name: Some(name),
        creation_date: Some(created.into()),
        ..Bucket::default()
    });
    ListBucketsOutput { buckets: Some(buckets.collect()), ..ListBucketsOutput::default() }
}

pub(super) fn objects_v2(store: &Buckets, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
    let after = match &input.continuation_token {
        Some(token) => unsealed(token)
            .ok_or_else(|| s3_error!(InvalidArgument, "`{token}` is not a continuation token"))?,
        None => input.start_after.clone().unwrap_or_default(),
    };
    let limit = limit(input.max_keys)?;
    let names = KeyEncoding::of(input.encoding_type.as_ref());
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref().unwrap_or_default(),
        after: &after,
        limit: limit as usize,
    };
    let (contents, prefixes, next) =
        store.look(&input.bucket, |bucket| Ok(names.page(&page(&bucket.objects, query))))?;
    Ok(ListObjectsV2Output {
        key_count: Some((contents.len() + prefixes.len()) as i32),
        is_truncated: Some(next.is_some()),
        next_continuation_token: next.map(|next| sealed(&next)),
        continuation_token: input.continuation_token,
        contents: Some(contents),
        common_prefixes: Some(prefixes),
        max_keys: Some(limit),
        prefix: input.prefix.map(|prefix| names.write(&prefix)),
        delimiter: input.delimiter.map(|delimiter| names.write(&delimiter)),
        start_after: input.start_after.map(|after| names.write(&after)),
        encoding_type: input.encoding_type,
        name: Some(input.bucket),
        ..ListObjectsV2Output::default()
    })
}

pub(super) fn objects_v1(store: &Buckets, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
    let limit = limit(input.max_keys)?;
    let names = KeyEncoding::of(input.encoding_type.as_ref());
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref().unwrap_or_default(),
        after: input.marker.as_deref().unwrap_or_default(),
        limit: limit as usize,
    };
    let (contents, prefixes, next) =
        store.look(&input.bucket, |bucket| Ok(names.page(&page(&bucket.objects, query))))?;
    Ok(ListObjectsOutput {
        is_truncated: Some(next.is_some()),
        next_marker: next.map(|next| names.write(&next)),
        contents: Some(contents),
        common_prefixes: Some(prefixes),
        max_keys: Some(limit),
        prefix: input.prefix.map(|prefix| names.write(&prefix)),
        delimiter: input.delimiter.map(|delimiter| names.write(&delimiter)),
        marker: input.marker.map(|marker| names.write(&marker)),
        encoding_type: input.encoding_type,
        name: Some(input.bucket),
        ..ListObjectsOutput::default()
    })
}

pub(super) fn parts(store: &Buckets, input: ListPartsInput) -> S3Result<ListPartsOutput> {
    let place = UploadAddress { bucket: &input.bucket, key: &input.key, upload: &input.upload_id };
    let limit = limit(input.max_parts)?;
    let after = input.part_number_marker.unwrap_or(0);
    let parts = store.look_at_upload(&place, |upload| {
        let rest = upload.parts.iter().filter(|(number, _)| **number > after);
        rest.take(limit as usize + 1).map(|(number, part)| part_of(*number, part)).collect::<Vec<_>>()
    })?;
    let is_truncated = parts.len() > limit as usize;
    let parts: Vec<_> = parts.into_iter().take(limit as usize).collect();
    let last = parts.last().and_then(|part| part.part_number).filter(|_| is_truncated);
    Ok(ListPartsOutput {
        is_truncated: Some(is_truncated),
        next_part_number_marker: last,
        max_parts: Some(limit),
        parts: Some(parts),
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        ..ListPartsOutput::default()
    })
}

fn part_of(number: i32, part: &store::Part) -> Part {
    Part {
        part_number: Some(number),
        e_tag: Some(strong(&digests::of_one(part.md5))),
        size: Some(part.size as i64),
        last_modified: Some(part.modified.into()),
        ..Part::default()
    }
}

pub(super) fn uploads(
    store: &Buckets,
    input: ListMultipartUploadsInput,
) -> S3Result<ListMultipartUploadsOutput> {
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let names = KeyEncoding::of(input.encoding_type.as_ref());
    let mut uploads = store.look(&input.bucket, |bucket| {
        let wanted = bucket.uploads.iter().filter(|(_, upload)| upload.key.starts_with(prefix));
        let uploads = wanted.map(|(id, upload)| MultipartUpload {
            key: Some(names.write(&upload.key)),
            upload_id: Some(id.clone()),
            initiated: Some(upload.started.into()),
            ..MultipartUpload::default()
        });
        Ok(uploads.collect::<Vec<_>>())
    })?;
    uploads.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(ListMultipartUploadsOutput {
        // All on one page: a test does not have thousands of uploads.
        is_truncated: Some(false),
        uploads: Some(uploads),
        prefix: input.prefix,
        encoding_type: input.encoding_type,
        bucket: Some(input.bucket),
        ..ListMultipartUploadsOutput::default()
    })
}

fn limit(wanted: Option<i32>) -> S3Result<i32> {
    match wanted {
        None => Ok(MAX_ENTRIES),
        Some(wanted) if wanted >= 0 => Ok(wanted.min(MAX_ENTRIES)),
        Some(wanted) => Err(s3_error!(InvalidArgument, "the limit is {wanted}, expected at least 0")),
    }
}

/// The encoding of keys: unchanged, or percent-encoded, since XML cannot express all characters.
#[derive(Debug, Clone, Copy)]
struct KeyEncoding {
    encoded: bool,
}

impl KeyEncoding {
    fn of(encoding: Option<&EncodingType>) -> Self {
        Self { encoded: encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL) }
    }

    fn write(self, name: &str) -> String {
        const KEPT: percent_encoding::AsciiSet = percent_encoding::NON_ALPHANUMERIC
            .remove(b'-')
            .remove(b'_')
            .remove(b'.')
            .remove(b'~')
            .remove(b'/');
        if self.encoded {
            percent_encoding::utf8_percent_encode(name, &KEPT).to_string()
        } else {
            name.to_owned()
        }
    }

    fn page(
        self,
        page: &Page<'_, std::sync::Arc<store::Object>>,
    ) -> (Vec<Object>, Vec<CommonPrefix>, Option<String>) {
        let objects = page.objects.iter().map(|(key, object)| Object {
            key: Some(self.write(key)),
            e_tag: Some(strong(&object.etag)),
            size: Some(object.size as i64),
            last_modified: Some(object.modified.into()),
            storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
            ..Object::default()
        });
        let prefixes = page.prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(self.write(prefix)) });
        (objects.collect(), prefixes.collect(), page.next.map(str::to_owned))
    }
}

/// Returns a key as a token that XML and URLs can carry, whatever characters it has.
fn sealed(key: &str) -> String {
    digests::hex(key.as_bytes())
}

fn unsealed(token: &str) -> Option<String> {
    // `from_str_radix` also accepts a sign.
    if !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let pairs = token.as_bytes().chunks(2).map(|pair| digits(pair).filter(|_| pair.len() == 2));
    String::from_utf8(pairs.collect::<Option<Vec<_>>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_carry_any_key() {
        for key in ["a", "a/b c", "\0", "ü/ж", "a%2Fb"] {
            assert_eq!(unsealed(&sealed(key)).as_deref(), Some(key));
        }
        for none in ["a", "zz", "ff", "6", "+1"] {
            assert_eq!(unsealed(none), None, "{none}");
        }
    }

    #[test]
    fn keys_are_encoded_on_request() {
        let encoded = KeyEncoding { encoded: true };
        assert_eq!(encoded.write("a/b c+ü\u{1}"), "a/b%20c%2B%C3%BC%01");
        assert_eq!(KeyEncoding { encoded: false }.write("a b"), "a b");
    }
}
