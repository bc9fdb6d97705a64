//! Buckets, objects and uploads in the database; their bytes are in files.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::content::{Folder, Segment};
use super::store::{Attributes, Bucket, Object, Part, Upload, UploadAddress};
use crate::persist::{Batch, Rows, Table, Unreadable, join, split};

/// The number and the size of a file.
type FileRow = (u64, u64);

#[derive(Debug, Serialize, Deserialize)]
struct ObjectRow<A> {
    etag: String,
    size: u64,
    modified: SystemTime,
    files: Vec<FileRow>,
    attributes: A,
}

#[derive(Debug, Serialize, Deserialize)]
struct UploadRow<K, A> {
    key: K,
    started: SystemTime,
    attributes: A,
}

#[derive(Debug, Serialize, Deserialize)]
struct PartRow {
    md5: [u8; 16],
    size: u64,
    modified: SystemTime,
    file: Option<FileRow>,
}

/// The contents of an earlier storage.
#[derive(Debug, Default)]
pub(crate) struct KeptBuckets {
    buckets: Vec<(String, SystemTime)>,
    objects: Vec<(String, String, ObjectRow<Attributes>)>,
    uploads: Vec<(String, String, UploadRow<String, Attributes>)>,
    parts: Vec<(String, String, i32, PartRow)>,
    /// The first unused number of a file.
    pub(super) next: u64,
}

impl KeptBuckets {
    /// Reads all rows.
    pub(crate) fn read(rows: &Rows) -> Result<Self, Unreadable> {
        let mut kept = Self::default();
        let wrong = || Unreadable::new("a key of the storage is not as expected");
        rows.each(Table::Buckets, |key, value| {
            let name = str::from_utf8(key).map_err(|_| wrong())?;
            kept.buckets.push((name.to_owned(), serde_json::from_slice(value)?));
            Ok(())
        })?;
        rows.each(Table::Objects, |key, value| {
            let (bucket, key) = split(key).ok_or_else(wrong)?;
            kept.objects.push((bucket.to_owned(), key.to_owned(), serde_json::from_slice(value)?));
            Ok(())
        })?;
        rows.each(Table::Uploads, |key, value| {
            let (bucket, id) = split(key).ok_or_else(wrong)?;
            kept.uploads.push((bucket.to_owned(), id.to_owned(), serde_json::from_slice(value)?));
            Ok(())
        })?;
        rows.each(Table::Parts, |key, value| {
            let (bucket, rest) = split(key).ok_or_else(wrong)?;
            let (id, number) = rest.split_once('\0').ok_or_else(wrong)?;
            let number = number.parse().map_err(|_| wrong())?;
            kept.parts.push((bucket.to_owned(), id.to_owned(), number, serde_json::from_slice(value)?));
            Ok(())
        })?;
        kept.next = kept.files().map(|number| number.saturating_add(1)).max().unwrap_or(0);
        Ok(kept)
    }

    /// The numbers of all files.
    fn files(&self) -> impl Iterator<Item = u64> {
        let objects = self.objects.iter().flat_map(|(_, _, row)| &row.files);
        let parts = self.parts.iter().filter_map(|(_, _, _, row)| row.file.as_ref());
        objects.chain(parts).map(|(number, _)| *number)
    }

    /// Removes the files that belong to nothing: those of bodies that were being received, and of objects that were being
    /// removed, when a storage ended. Other things in the directory are left alone.
    pub(crate) fn tidy(&self, directory: &Path) -> io::Result<()> {
        let known: HashSet<u64> = self.files().collect();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let is_ours = number.is_some_and(|number: u64| entry.file_name() == *number.to_string());
            if is_ours && number.is_some_and(|number| !known.contains(&number)) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Returns the buckets, with their files in a folder.
    pub(super) fn restore(self, folder: &Arc<Folder>) -> BTreeMap<String, Bucket> {
        // Copies share files.
        let mut segments: BTreeMap<FileRow, Segment> = BTreeMap::new();
        let mut segment = |(number, size): FileRow| {
            let new = || Segment::kept(folder, number, size);
            segments.entry((number, size)).or_insert_with(new).clone()
        };
        let empty = |created| Bucket { created, objects: BTreeMap::new(), uploads: BTreeMap::new() };
        let mut buckets: BTreeMap<String, Bucket> =
            self.buckets.into_iter().map(|(name, created)| (name, empty(created))).collect();
        for (bucket, key, row) in self.objects {
            let Some(bucket) = buckets.get_mut(&bucket) else { continue };
            let ObjectRow { etag, size, modified, files, attributes } = row;
            let segments = files.into_iter().map(&mut segment).collect();
            bucket.objects.insert(key, Arc::new(Object { etag, size, modified, segments, attributes }));
        }
        for (bucket, id, row) in self.uploads {
            let Some(bucket) = buckets.get_mut(&bucket) else { continue };
            let UploadRow { key, started, attributes } = row;
            bucket.uploads.insert(id, Upload { key, started, parts: BTreeMap::new(), attributes });
        }
        for (bucket, id, number, row) in self.parts {
            let upload = buckets.get_mut(&bucket).and_then(|bucket| bucket.uploads.get_mut(&id));
            let Some(upload) = upload else { continue };
            let PartRow { md5, size, modified, file } = row;
            upload.parts.insert(number, Part { md5, size, modified, segment: file.map(&mut segment) });
        }
        buckets
    }
}

fn file(segment: &Segment) -> FileRow {
    (segment.number(), segment.size)
}

fn part_key(bucket: &str, id: &str, number: i32) -> Vec<u8> {
    join(bucket, &format!("{id}\0{number}"))
}

pub(super) fn put_bucket(batch: &mut Batch<'_>, name: &str, bucket: &Bucket) {
    batch.put_json(Table::Buckets, name.as_bytes().to_vec(), &bucket.created);
}

/// Removes a bucket without objects, and its uploads.
pub(super) fn remove_bucket(batch: &mut Batch<'_>, name: &str, bucket: &Bucket) {
    batch.remove(Table::Buckets, name.as_bytes().to_vec());
    for (id, upload) in &bucket.uploads {
        remove_upload(batch, name, id, upload);
    }
}

pub(super) fn put_object(batch: &mut Batch<'_>, bucket: &str, key: &str, object: &Object) {
    let row = ObjectRow {
        etag: object.etag.clone(),
        size: object.size,
        modified: object.modified,
        files: object.segments.iter().map(file).collect(),
        attributes: &object.attributes,
    };
    batch.put_json(Table::Objects, join(bucket, key), &row);
}

pub(super) fn remove_object(batch: &mut Batch<'_>, bucket: &str, key: &str) {
    batch.remove(Table::Objects, join(bucket, key));
}

pub(super) fn put_upload(batch: &mut Batch<'_>, bucket: &str, id: &str, upload: &Upload) {
    let row = UploadRow { key: &upload.key, started: upload.started, attributes: &upload.attributes };
    batch.put_json(Table::Uploads, join(bucket, id), &row);
}

pub(super) fn put_part(batch: &mut Batch<'_>, at: &UploadAddress<'_>, number: i32, part: &Part) {
    let Part { md5, size, modified, segment } = part;
    let row = PartRow { md5: *md5, size: *size, modified: *modified, file: segment.as_ref().map(file) };
    batch.put_json(Table::Parts, part_key(at.bucket, at.upload, number), &row);
}

pub(super) fn remove_upload(batch: &mut Batch<'_>, bucket: &str, id: &str, upload: &Upload) {
    batch.remove(Table::Uploads, join(bucket, id));
    for number in upload.parts.keys() {
        batch.remove(Table::Parts, part_key(bucket, id, *number));
    }
}

/// Times of `s3s`, as texts.
pub(super) mod timestamp {
    use s3s::dto::{Timestamp, TimestampFormat};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

    #[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
    pub(in crate::s3) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = time.as_ref().map(|time| {
            let mut text = Vec::new();
            time.format(TimestampFormat::DateTime, &mut text).map_err(ser::Error::custom)?;
            String::from_utf8(text).map_err(ser::Error::custom)
        });
        text.transpose()?.serialize(serializer)
    }

    pub(in crate::s3) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let parse =
            |text: String| Timestamp::parse(TimestampFormat::DateTime, &text).map_err(de::Error::custom);
        text.map(parse).transpose()
    }
}
