//! Objects that are uploaded in parts.

use std::time::SystemTime;

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Checksum, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput, ETag,
    UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Result, s3_error};

use super::objects::attributes;
use super::{declared, receive, strong};
use crate::s3::conditions::Conditions;
use crate::s3::digests::{self, Declared};
use crate::s3::store::{self, Buckets, UploadAddress};

pub(super) fn begin(
    store: &Buckets,
    mut input: CreateMultipartUploadInput,
) -> S3Result<CreateMultipartUploadOutput> {
    let attributes = attributes!(input);
    let upload_id = store.begin(&input.bucket, input.key.clone(), attributes)?;
    Ok(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload_id),
        ..CreateMultipartUploadOutput::default()
    })
}

pub(super) async fn put_part(
    store: &Buckets,
    mut request: S3Request<UploadPartInput>,
) -> S3Result<UploadPartOutput> {
    let declared = declared!(request);
    let input = request.input;
    let number = input.part_number;
    if !(1..=10_000).contains(&number) {
        return Err(s3_error!(InvalidArgument, "the number of the part is {number}, expected 1 to 10000"));
    }
    let place = UploadAddress { bucket: &input.bucket, key: &input.key, upload: &input.upload_id };
    // Checked before the body, which may be large.
    store.check_upload(&place)?;
    let (segment, size, md5) = receive(store, input.body, declared).await?;
    store.put_part(&place, number, store::Part { md5, size, modified: SystemTime::now(), segment })?;
    Ok(UploadPartOutput { e_tag: Some(strong(&digests::of_one(md5))), ..UploadPartOutput::default() })
}

pub(super) fn complete(
    store: &Buckets,
    input: CompleteMultipartUploadInput,
) -> S3Result<CompleteMultipartUploadOutput> {
    let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
    let named = parts.into_iter().map(|part| {
        let number = part.part_number.ok_or_else(|| s3_error!(MalformedXML, "a part has no number"))?;
        Ok((number, part.e_tag.map(ETag::into_value)))
    });
    let named = named.collect::<S3Result<Vec<_>>>()?;
    let conditions =
        Conditions { matches: input.if_match, none_matches: input.if_none_match, ..Conditions::default() };
    let place = UploadAddress { bucket: &input.bucket, key: &input.key, upload: &input.upload_id };
    let etag = store.complete(&place, &named, &conditions)?;
    Ok(CompleteMultipartUploadOutput {
        e_tag: Some(strong(&etag)),
        bucket: Some(input.bucket),
        key: Some(input.key),
        ..CompleteMultipartUploadOutput::default()
    })
}

pub(super) fn abort(
    store: &Buckets,
    input: &AbortMultipartUploadInput,
) -> S3Result<AbortMultipartUploadOutput> {
    store.abort(&UploadAddress { bucket: &input.bucket, key: &input.key, upload: &input.upload_id })?;
    Ok(AbortMultipartUploadOutput::default())
}
