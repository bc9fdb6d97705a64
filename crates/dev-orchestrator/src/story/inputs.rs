//! The objects that the parameters of running tasks name.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, RandomState};

use crate::literal;

/// The number of addresses of one task that are watched.
const MAX_ADDRESSES: usize = 1000;

/// The number of directories above an object that are looked up.
const MAX_DEPTH: usize = 64;

/// The addresses in the parameters of running tasks, as hashes: the parameters themselves have the texts already.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    hasher: RandomState,
    /// The hash of an address, and the number of the job whose parameters have it.
    addresses: BTreeSet<(u64, u64)>,
    /// The hashes of each job that has any.
    by_job: HashMap<u64, Box<[u64]>>,
}

impl Inputs {
    /// Watches the objects that these parameters name: `s3://bucket/key`, or `s3://bucket/prefix/` for all below it.
    pub(crate) fn watch(&mut self, number: u64, params: &str) {
        if memchr::memmem::find(params.as_bytes(), b"s3:").is_none() {
            return;
        }
        let named = literal::texts(params).filter(|text| text.starts_with("s3://"));
        let mut hashes: Vec<u64> = named.take(MAX_ADDRESSES).map(|text| self.hash(&text)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        self.addresses.extend(hashes.iter().map(|hash| (*hash, number)));
        if !hashes.is_empty() {
            self.by_job.insert(number, hashes.into());
        }
    }

    pub(crate) fn forget(&mut self, number: u64) {
        for hash in self.by_job.remove(&number).iter().flatten() {
            self.addresses.remove(&(*hash, number));
        }
    }

    /// Returns the jobs whose parameters name this object, or a directory that it is in.
    pub(crate) fn jobs(&self, bucket: &str, key: &str) -> BTreeSet<u64> {
        if self.addresses.is_empty() {
            return BTreeSet::new();
        }
        let address = format!("s3://{bucket}/{key}");
        let root = "s3://".len() + bucket.len();
        let folders = address.char_indices().filter(|(index, character)| *index >= root && *character == '/');
        let folders = folders.take(MAX_DEPTH).map(|(index, _)| &address[..=index]);
        let jobs = folders.chain([address.as_str()]).flat_map(|name| {
            let hash = self.hash(name);
            self.addresses.range((hash, 0)..=(hash, u64::MAX)).map(|(_, number)| *number)
        });
        jobs.collect()
    }

    fn hash(&self, text: &str) -> u64 {
        self.hasher.hash_one(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_found_by_their_address_and_by_the_directory_they_are_in() {
        let mut inputs = Inputs::default();
        inputs.watch(1, r#"{"image": "s3://b/in/a.png", "again": ["s3://b/in/a.png"]}"#);
        inputs.watch(2, r#"{"folder": "s3:\/\/b\/in\/", "name": "s3://other/\u00e9"}"#);
        inputs.watch(3, r#"{"text": "see s3://b/in/a.png", "n": 3}"#);
        let jobs = |inputs: &Inputs, bucket: &str, key: &str| -> Vec<u64> {
            inputs.jobs(bucket, key).into_iter().collect()
        };
        assert_eq!(jobs(&inputs, "b", "in/a.png"), [1, 2]);
        assert_eq!(jobs(&inputs, "b", "in/deep/er.png"), [2]);
        assert_eq!(jobs(&inputs, "b", "in"), [] as [u64; 0]);
        assert_eq!(jobs(&inputs, "other", "é"), [2]);
        assert_eq!(jobs(&inputs, "other", "in/a.png"), [] as [u64; 0]);
        inputs.forget(2);
        assert_eq!(jobs(&inputs, "b", "in/a.png"), [1]);
        inputs.forget(1);
        inputs.forget(3);
        assert!(inputs.addresses.is_empty() && inputs.by_job.is_empty());
    }
}
