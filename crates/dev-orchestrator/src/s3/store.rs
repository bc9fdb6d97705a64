//! Buckets, objects and uploads, and the operations on them. Each operation holds one lock, so that nothing comes
//! between a condition and the write that depends on it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use s3s::dto::{Metadata, Timestamp};
use s3s::{S3Result, s3_error};
use serde::{Deserialize, Serialize};

use super::conditions::Conditions;
use super::content::{Folder, Segment};
use super::digests;
use super::kept::{self, KeptBuckets};
use crate::persist::{Batch, Keeper};

/// The smallest part of an upload except for the last one, in bytes, as in S3.
const MIN_PART_SIZE: u64 = 5 * 1024 * 1024;

/// The attributes of an object.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Attributes {
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) cache_control: Option<String>,
    #[serde(with = "kept::timestamp")]
    pub(super) expires: Option<Timestamp>,
    pub(super) metadata: Option<Metadata>,
}

/// An object. It never changes: a write replaces it.
#[derive(Debug)]
pub(super) struct Object {
    /// The `ETag` without quotes.
    pub(super) etag: String,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
    pub(super) segments: Vec<Segment>,
    pub(super) attributes: Attributes,
}

/// A part of an upload.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) md5: [u8; 16],
    pub(super) size: u64,
    pub(super) modified: SystemTime,
    pub(super) segment: Option<Segment>,
}

/// A multipart upload that was neither completed nor aborted.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) started: SystemTime,
    pub(super) parts: BTreeMap<i32, Part>,
    pub(super) attributes: Attributes,
}

/// A bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) created: SystemTime,
    pub(super) objects: BTreeMap<String, Arc<Object>>,
    pub(super) uploads: BTreeMap<String, Upload>,
}

/// All buckets, and the directory of their files.
#[derive(Debug)]
pub(super) struct Buckets {
    pub(super) folder: Arc<Folder>,
    all: Mutex<BTreeMap<String, Bucket>>,
    /// Keeps all changes, if anything is kept.
    keeper: Option<Keeper>,
}

impl Drop for Buckets {
    fn drop(&mut self) {
        self.folder.close();
    }
}

impl Buckets {
    /// Creates an empty storage with its files inside `parent`.
    pub(super) fn new(parent: Option<&Path>) -> io::Result<Self> {
        Ok(Self { folder: Folder::new(parent)?, all: Mutex::default(), keeper: None })
    }

    /// Goes on with the contents of an earlier storage, and keeps all changes.
    pub(super) fn restored(keeper: Keeper, kept: KeptBuckets) -> Self {
        let folder = Folder::kept(keeper.clone(), kept.next);
        let all = Mutex::new(kept.restore(&folder));
        Self { folder, all, keeper: Some(keeper) }
    }

    /// Hands changes over. The buckets are locked, so that the order of rows is that of changes.
    fn keep(&self, change: impl FnOnce(&mut Batch<'_>)) {
        if let Some(keeper) = &self.keeper {
            keeper.change(change);
        }
    }

    /// Creates a bucket.
    pub(super) fn create_bucket(&self, name: &str) -> S3Result<()> {
        let mut buckets = self.lock();
        if buckets.contains_key(name) {
            return Err(s3_error!(BucketAlreadyOwnedByYou, "the bucket `{name}` already exists"));
        }
        let bucket =
            Bucket { created: SystemTime::now(), objects: BTreeMap::new(), uploads: BTreeMap::new() };
        self.keep(|batch| kept::put_bucket(batch, name, &bucket));
        buckets.insert(name.to_owned(), bucket);
        Ok(())
    }

    /// Removes a bucket without objects; open uploads are dropped.
    pub(super) fn delete_bucket(&self, name: &str) -> S3Result<()> {
        let mut buckets = self.lock();
        if !found(&mut buckets, name)?.objects.is_empty() {
            return Err(s3_error!(BucketNotEmpty, "the bucket `{name}` is not empty"));
        }
        if let Some(bucket) = buckets.remove(name) {
            self.keep(|batch| kept::remove_bucket(batch, name, &bucket));
        }
        Ok(())
    }

    /// Returns the buckets with the times of their creation.
    pub(super) fn buckets(&self) -> Vec<(String, SystemTime)> {
        self.lock().iter().map(|(name, bucket)| (name.clone(), bucket.created)).collect()
    }

    /// Reads a bucket.
    pub(super) fn look<R>(&self, bucket: &str, read: impl FnOnce(&Bucket) -> S3Result<R>) -> S3Result<R> {
        read(found(&mut self.lock(), bucket)?)
    }

    /// Returns an object.
    pub(super) fn object(&self, bucket: &str, key: &str) -> S3Result<Arc<Object>> {
        let object = self.look(bucket, |bucket| Ok(bucket.objects.get(key).cloned()))?;
        object.ok_or_else(|| s3_error!(NoSuchKey, "there is no object `{key}` in the bucket `{bucket}`"))
    }

    /// Stores an object.
    pub(super) fn put(
        &self,
        bucket: &str,
        key: String,
        object: Object,
        conditions: &Conditions,
    ) -> S3Result<()> {
        // The replaced object is dropped after the lock is released, because dropping it removes its file.
        let _replaced = {
            let mut buckets = self.lock();
            let objects = &mut found(&mut buckets, bucket)?.objects;
            conditions.check_write(objects.get(&key).map(|object| object.etag.as_str()))?;
            self.keep(|batch| kept::put_object(batch, bucket, &key, &object));
            objects.insert(key, Arc::new(object))
        };
        Ok(())
    }

    /// Removes objects. Removing an object that does not exist succeeds, too.
    pub(super) fn delete<'a>(&self, bucket: &str, keys: impl Iterator<Item = &'a str>) -> S3Result<()> {
        let _removed = {
            let mut buckets = self.lock();
            let objects = &mut found(&mut buckets, bucket)?.objects;
            let remove = |key: &'a str| {
                let removed = objects.remove(key)?;
                self.keep(|batch| kept::remove_object(batch, bucket, key));
                Some(removed)
            };
            keys.map(remove).collect::<Vec<_>>()
        };
        Ok(())
    }

    /// Begins a multipart upload, and returns its id.
    pub(super) fn begin(&self, bucket: &str, key: String, attributes: Attributes) -> S3Result<String> {
        let id = rxon::id::random_uuid();
        let upload = Upload { key, started: SystemTime::now(), parts: BTreeMap::new(), attributes };
        let mut buckets = self.lock();
        let uploads = &mut found(&mut buckets, bucket)?.uploads;
        self.keep(|batch| kept::put_upload(batch, bucket, &id, &upload));
        uploads.insert(id.clone(), upload);
        Ok(id)
    }

    /// Checks that an upload exists.
    pub(super) fn check_upload(&self, at: &UploadAddress<'_>) -> S3Result<()> {
        self.look_at_upload(at, |_| ())
    }

    /// Reads an upload.
    pub(super) fn look_at_upload<R>(
        &self,
        at: &UploadAddress<'_>,
        look: impl FnOnce(&Upload) -> R,
    ) -> S3Result<R> {
        Ok(look(at.upload(&mut self.lock())?))
    }

    /// Adds a part to an upload, or replaces it.
    pub(super) fn put_part(&self, at: &UploadAddress<'_>, number: i32, part: Part) -> S3Result<()> {
        let _replaced = {
            let mut buckets = self.lock();
            let parts = &mut at.upload(&mut buckets)?.parts;
            self.keep(|batch| kept::put_part(batch, at, number, &part));
            parts.insert(number, part)
        };
        Ok(())
    }

    /// Ends an upload without making an object.
    pub(super) fn abort(&self, at: &UploadAddress<'_>) -> S3Result<()> {
        let _removed = {
            let mut buckets = self.lock();
            let upload = at.upload(&mut buckets)?;
            self.keep(|batch| kept::remove_upload(batch, at.bucket, at.upload, upload));
            found(&mut buckets, at.bucket)?.uploads.remove(at.upload)
        };
        Ok(())
    }

    /// Makes an object from the named parts, and ends the upload. Returns the `ETag`.
    pub(super) fn complete(
        &self,
        at: &UploadAddress<'_>,
        named: &[(i32, Option<String>)],
        conditions: &Conditions,
    ) -> S3Result<String> {
        let (etag, _rest) = {
            let mut buckets = self.lock();
            let upload = at.upload(&mut buckets)?;
            let (etag, size, segments) = joined(upload, named)?;
            let object = Object {
                etag: etag.clone(),
                size,
                modified: SystemTime::now(),
                segments,
                attributes: upload.attributes.clone(),
            };
            let bucket = found(&mut buckets, at.bucket)?;
            conditions.check_write(bucket.objects.get(at.key).map(|object| object.etag.as_str()))?;
            let upload = bucket.uploads.remove(at.upload);
            self.keep(|batch| {
                kept::put_object(batch, at.bucket, at.key, &object);
                if let Some(upload) = &upload {
                    kept::remove_upload(batch, at.bucket, at.upload, upload);
                }
            });
            let replaced = bucket.objects.insert(at.key.to_owned(), Arc::new(object));
            (etag, (replaced, upload))
        };
        Ok(etag)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn found<'a>(buckets: &'a mut BTreeMap<String, Bucket>, name: &str) -> S3Result<&'a mut Bucket> {
    buckets.get_mut(name).ok_or_else(|| s3_error!(NoSuchBucket, "there is no bucket `{name}`"))
}

/// The address of an upload.
#[derive(Debug, Clone, Copy)]
pub(super) struct UploadAddress<'a> {
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
    pub(super) upload: &'a str,
}

impl UploadAddress<'_> {
    fn upload<'a>(&self, buckets: &'a mut BTreeMap<String, Bucket>) -> S3Result<&'a mut Upload> {
        let upload = found(buckets, self.bucket)?.uploads.get_mut(self.upload);
        upload
            .filter(|upload| upload.key == self.key)
            .ok_or_else(|| s3_error!(NoSuchUpload, "there is no upload `{}` of `{}`", self.upload, self.key))
    }
}

/// Returns the `ETag`, the size and the files of an object made from these parts.
fn joined(upload: &Upload, named: &[(i32, Option<String>)]) -> S3Result<(String, u64, Vec<Segment>)> {
    if named.is_empty() {
        return Err(s3_error!(MalformedXML, "no parts are named, expected at least one"));
    }
    if !named.is_sorted_by(|(one, _), (next, _)| one < next) {
        return Err(s3_error!(InvalidPartOrder));
    }
    let (mut md5s, mut size, mut segments) = (Vec::with_capacity(named.len()), 0, Vec::new());
    for (at, (number, etag)) in named.iter().enumerate() {
        let part = upload
            .parts
            .get(number)
            .filter(|part| etag.as_ref().is_none_or(|etag| *etag == digests::of_one(part.md5)));
        let part = part.ok_or_else(|| s3_error!(InvalidPart, "there is no part {number} with this ETag"))?;
        if part.size < MIN_PART_SIZE && at + 1 < named.len() {
            return Err(s3_error!(
                EntityTooSmall,
                "part {number} has {} bytes, expected at least {MIN_PART_SIZE}",
                part.size
            ));
        }
        md5s.push(part.md5);
        size += part.size;
        segments.extend(part.segment.clone());
    }
    Ok((digests::of_parts(&md5s), size, segments))
}
