//! Single objects.

use std::ops::Range;
use std::time::SystemTime;

use s3s::dto::{
    Checksum, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, DeleteObjectsInput,
    DeleteObjectsOutput, DeletedObject, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    MetadataDirective, PutObjectInput, PutObjectOutput, StreamingBlob,
};
use s3s::{S3Request, S3Result, s3_error};

use super::{declared, receive, strong};
use crate::s3::conditions::Conditions;
use crate::s3::content;
use crate::s3::digests::{self, Declared};
use crate::s3::store::{Attributes, Buckets, Object};
use crate::s3::watch::Request;

/// The content type of an object that was stored without one, as in S3.
const CONTENT_TYPE: &str = "binary/octet-stream";

/// Takes the conditions for reading an object out of an input.
macro_rules! conditions_on_reading {
    ($input:expr) => {
        Conditions {
            matches: $input.if_match.take(),
            none_matches: $input.if_none_match.take(),
            modified_since: $input.if_modified_since.take(),
            unmodified_since: $input.if_unmodified_since.take(),
        }
    };
}

/// Takes the attributes of an object out of an input.
macro_rules! attributes {
    ($input:expr) => {
        $crate::s3::store::Attributes {
            content_type: $input.content_type.take(),
            content_encoding: $input.content_encoding.take(),
            content_disposition: $input.content_disposition.take(),
            content_language: $input.content_language.take(),
            cache_control: $input.cache_control.take(),
            expires: $input.expires.take(),
            metadata: $input.metadata.take(),
        }
    };
}
pub(super) use attributes;

pub(super) fn head(store: &Buckets, mut input: HeadObjectInput) -> S3Result<HeadObjectOutput> {
    let object = store.object(&input.bucket, &input.key)?;
    conditions_on_reading!(input).check_read(&object.etag, object.modified)?;
    let (_, length, content_range) = span(&object, input.range)?;
    let Attributes {
        content_type,
        content_encoding,
        content_disposition,
        content_language,
        cache_control,
        expires,
        metadata,
    } = object.attributes.clone();
    Ok(HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        cache_control,
        content_disposition,
        content_encoding,
        content_language,
        content_length: Some(length),
        content_range,
        content_type: Some(content_type.unwrap_or_else(|| CONTENT_TYPE.to_owned())),
        e_tag: Some(strong(&object.etag)),
        expires,
        last_modified: Some(object.modified.into()),
        metadata,
        ..HeadObjectOutput::default()
    })
}

pub(super) fn get(store: &Buckets, mut input: GetObjectInput, reading: Request) -> S3Result<GetObjectOutput> {
    let object = store.object(&input.bucket, &input.key)?;
    conditions_on_reading!(input).check_read(&object.etag, object.modified)?;
    let (range, length, content_range) = span(&object, input.range)?;
    let Attributes {
        content_type,
        content_encoding,
        content_disposition,
        content_language,
        cache_control,
        expires,
        metadata,
    } = object.attributes.clone();
    Ok(GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        body: Some(StreamingBlob::wrap(reading.until_end(content::read(object.segments.clone(), range)))),
        cache_control,
        content_disposition,
        content_encoding,
        content_language,
        content_length: Some(length),
        content_range,
        content_type: Some(content_type.unwrap_or_else(|| CONTENT_TYPE.to_owned())),
        e_tag: Some(strong(&object.etag)),
        expires,
        last_modified: Some(object.modified.into()),
        metadata,
        ..GetObjectOutput::default()
    })
}

/// Returns the requested bytes, their number, and `Content-Range`.
fn span(object: &Object, range: Option<s3s::dto::Range>) -> S3Result<(Range<u64>, i64, Option<String>)> {
    let size = object.size;
    let Some(wanted) = range else { return Ok((0..size, size as i64, None)) };
    let range = wanted.check(size).map_err(|_| {
        s3_error!(InvalidRange, "the range is `{}`, the object has {size} bytes", wanted.to_header_string())
    })?;
    if range.is_empty() {
        // A suffix range of an empty object.
        return Err(s3_error!(InvalidRange, "the object is empty"));
    }
    let content_range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
    Ok((range.clone(), (range.end - range.start) as i64, Some(content_range)))
}

pub(super) async fn put(
    store: &Buckets,
    mut request: S3Request<PutObjectInput>,
) -> S3Result<PutObjectOutput> {
    // Checked before the body, which may be large.
    store.look(&request.input.bucket, |_| Ok(()))?;
    let declared = declared!(request);
    let mut input = request.input;
    let (segment, size, md5) = receive(store, input.body.take(), declared).await?;
    let conditions = Conditions {
        matches: input.if_match.take(),
        none_matches: input.if_none_match.take(),
        ..Conditions::default()
    };
    let etag = digests::of_one(md5);
    let object = Object {
        etag: etag.clone(),
        size,
        modified: SystemTime::now(),
        segments: segment.into_iter().collect(),
        attributes: attributes!(input),
    };
    store.put(&input.bucket, input.key, object, &conditions)?;
    Ok(PutObjectOutput { e_tag: Some(strong(&etag)), ..PutObjectOutput::default() })
}

pub(super) fn copy(store: &Buckets, mut input: CopyObjectInput) -> S3Result<CopyObjectOutput> {
    let CopySource::Bucket { bucket, key, .. } = &input.copy_source else {
        return Err(s3_error!(NotImplemented, "only objects of buckets can be copied"));
    };
    let source = store.object(bucket, key)?;
    let conditions = Conditions {
        matches: input.copy_source_if_match.take(),
        none_matches: input.copy_source_if_none_match.take(),
        modified_since: input.copy_source_if_modified_since.take(),
        unmodified_since: input.copy_source_if_unmodified_since.take(),
    };
    // The client of a copy caches nothing, so any failed condition is an error.
    conditions.check_read(&source.etag, source.modified).map_err(|_| s3_error!(PreconditionFailed))?;
    let replaces =
        input.metadata_directive.as_ref().is_some_and(|word| word.as_str() == MetadataDirective::REPLACE);
    if !replaces && (&**bucket, &**key) == (&*input.bucket, &*input.key) {
        return Err(s3_error!(InvalidRequest, "an object cannot be copied to itself without changes"));
    }
    let attributes = if replaces { attributes!(input) } else { source.attributes.clone() };
    let modified = SystemTime::now();
    // The bytes never change, so both objects share them.
    let (etag, segments) = (source.etag.clone(), source.segments.clone());
    let object = Object { etag: etag.clone(), size: source.size, modified, segments, attributes };
    store.put(&input.bucket, input.key, object, &Conditions::default())?;
    let result = CopyObjectResult {
        e_tag: Some(strong(&etag)),
        last_modified: Some(modified.into()),
        ..CopyObjectResult::default()
    };
    Ok(CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() })
}

pub(super) fn delete_many(store: &Buckets, input: DeleteObjectsInput) -> S3Result<DeleteObjectsOutput> {
    store.delete(&input.bucket, input.delete.objects.iter().map(|object| object.key.as_str()))?;
    let quiet = input.delete.quiet.unwrap_or(false);
    let deleted = input.delete.objects.into_iter().filter(|_| !quiet);
    let deleted =
        deleted.map(|object| DeletedObject { key: Some(object.key), ..DeletedObject::default() }).collect();
    Ok(DeleteObjectsOutput { deleted: Some(deleted), ..DeleteObjectsOutput::default() })
}
