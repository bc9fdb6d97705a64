//! The operations: each reads its input, calls [`Buckets`](super::store::Buckets), and answers.

mod listings;
mod objects;
mod uploads;

use std::sync::Arc;

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CreateBucketInput, CreateBucketOutput,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteBucketInput, DeleteBucketOutput,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, ETag,
    GetBucketLocationInput, GetBucketLocationOutput, GetObjectInput, GetObjectOutput, HeadBucketInput,
    HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput,
    ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectsInput, ListObjectsOutput,
    ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput, PutObjectInput,
    PutObjectOutput, StreamingBlob, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::content::{self, Broken, Received, Segment};
use super::digests::Declared;
use super::store::Buckets;
use super::watch::Watch;

/// The supported operations; `s3s` answers all others with `NotImplemented`.
#[derive(Debug)]
pub(super) struct Operations {
    pub(super) store: Arc<Buckets>,
    pub(super) watch: Watch,
}

type Answer<T> = S3Result<S3Response<T>>;

#[async_trait::async_trait]
impl S3 for Operations {
    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> Answer<CreateBucketOutput> {
        self.store.create_bucket(&req.input.bucket)?;
        let location = Some(format!("/{}", req.input.bucket));
        answer(CreateBucketOutput { location })
    }

    async fn delete_bucket(&self, req: S3Request<DeleteBucketInput>) -> Answer<DeleteBucketOutput> {
        self.store.delete_bucket(&req.input.bucket)?;
        answer(DeleteBucketOutput {})
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> Answer<HeadBucketOutput> {
        self.store.look(&req.input.bucket, |_| Ok(()))?;
        answer(HeadBucketOutput::default())
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> Answer<GetBucketLocationOutput> {
        self.store.look(&req.input.bucket, |_| Ok(()))?;
        answer(GetBucketLocationOutput::default())
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> Answer<ListBucketsOutput> {
        answer(listings::buckets(&self.store))
    }

    async fn list_objects(&self, req: S3Request<ListObjectsInput>) -> Answer<ListObjectsOutput> {
        answer(listings::objects_v1(&self.store, req.input)?)
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> Answer<ListObjectsV2Output> {
        answer(listings::objects_v2(&self.store, req.input)?)
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        answer(objects::head(&self.store, req.input)?)
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        let reading = self.watch.reading(&req.input.bucket, &req.input.key);
        answer(objects::get(&self.store, req.input, reading)?)
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        let writing = self.watch.writing(&req.input.bucket, &req.input.key);
        let output = objects::put(&self.store, req).await?;
        writing.end();
        answer(output)
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> Answer<CopyObjectOutput> {
        let writing = self.watch.writing(&req.input.bucket, &req.input.key);
        let output = objects::copy(&self.store, req.input)?;
        writing.end();
        answer(output)
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> Answer<DeleteObjectOutput> {
        self.store.delete(&req.input.bucket, std::iter::once(req.input.key.as_str()))?;
        answer(DeleteObjectOutput::default())
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> Answer<DeleteObjectsOutput> {
        answer(objects::delete_many(&self.store, req.input)?)
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        answer(uploads::begin(&self.store, req.input)?)
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
        let writing = self.watch.writing(&req.input.bucket, &req.input.key);
        let output = uploads::put_part(&self.store, req).await?;
        writing.end();
        answer(output)
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        let writing = self.watch.writing(&req.input.bucket, &req.input.key);
        let output = uploads::complete(&self.store, req.input)?;
        writing.end();
        answer(output)
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> Answer<AbortMultipartUploadOutput> {
        answer(uploads::abort(&self.store, &req.input)?)
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> Answer<ListPartsOutput> {
        answer(listings::parts(&self.store, req.input)?)
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> Answer<ListMultipartUploadsOutput> {
        answer(listings::uploads(&self.store, req.input)?)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is the last expression of every operation")]
fn answer<T>(output: T) -> Answer<T> {
    Ok(S3Response::new(output))
}

fn strong(etag: &str) -> ETag {
    ETag::Strong(etag.to_owned())
}

/// Takes the declared checksums out of a request whose input has these fields.
macro_rules! declared {
    ($request:expr) => {{
        let request = &mut $request;
        let announced = request.headers.get("x-amz-trailer").and_then(|value| value.to_str().ok());
        Declared {
            announced: announced.unwrap_or_default().to_ascii_lowercase(),
            trailers: request.trailing_headers.take(),
            md5: request.input.content_md5.take(),
            checksum: Checksum {
                checksum_crc32: request.input.checksum_crc32.take(),
                checksum_crc32c: request.input.checksum_crc32c.take(),
                checksum_crc64nvme: request.input.checksum_crc64nvme.take(),
                checksum_sha1: request.input.checksum_sha1.take(),
                checksum_sha256: request.input.checksum_sha256.take(),
                ..Checksum::default()
            },
        }
    }};
}
use declared;

/// Receives the body of a request, and checks that it is complete and matches the declared checksums. Returns its file,
/// size and MD5.
async fn receive(
    store: &Buckets,
    body: Option<StreamingBlob>,
    declared: Declared,
) -> S3Result<(Option<Segment>, u64, [u8; 16])> {
    let body = body.unwrap_or_else(|| StreamingBlob::from(s3s::Body::empty()));
    let received = content::receive(&store.folder, body, declared.digests()).await;
    let Received { segment, size, digests } = received.map_err(|broken| match broken {
        Broken::Body(error) => {
            s3_error!(IncompleteBody, "the body is incomplete, or does not match its signature: {error}")
        }
        Broken::Disk(error) => {
            tracing::warn!(%error, "the local S3 cannot write to its disk");
            s3_error!(InternalError, "cannot write to the disk: {error}")
        }
    })?;
    Ok((segment, size, declared.verify(digests)?))
}
