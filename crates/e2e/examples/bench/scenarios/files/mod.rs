//! The benchmark of files: a worker, compared with a bare `object_store` loop on the same local S3.
//!
//! The worker, the bare loop and the storage are separate processes. Both clients move the same objects, with as many
//! requests at once, into and out of the same directory. The time is that of the whole task, as its orchestrator sees
//! it: from its submission, with a waiting worker, to its result.

mod bare;
mod place;
mod rounds;
mod worker;

pub(crate) use rounds::run;

use crate::arguments::{Arguments, number};

/// The kind of transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One large object into a file.
    Down,
    /// A large file into an object.
    Up,
    /// Many small objects of a prefix into files.
    Many,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Down, Self::Up, Self::Many];

    fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Up => "up",
            Self::Many => "many",
        }
    }

    fn parse(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == name);
        known.ok_or_else(|| format!("`{name}` is unknown, expected `down`, `up` or `many`"))
    }
}

/// The number of transfers at once, the same as in the worker.
const PARALLEL: usize = 8;

/// The size of a part, the same as in the worker.
const PART: u64 = 8 << 20;

/// The size of a small object, in bytes.
const SMALL: usize = 2048;

const LARGE_KEY: &str = "large.bin";
const MANY_PREFIX: &str = "many/";

/// The file to send, in the directory of the files.
const SENT: &str = "to-be-sent.bin";

/// The addresses and keys of the storage and its orchestrator, passed between processes as one line.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    orchestrator: String,
    endpoint: String,
    access_key: String,
    secret_key: String,
    bucket: String,
}

impl Address {
    fn line(&self) -> String {
        let Self { orchestrator, endpoint, access_key, secret_key, bucket } = self;
        format!("{orchestrator} {endpoint} {access_key} {secret_key} {bucket}")
    }

    fn parse(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split(' ').collect();
        let [orchestrator, endpoint, access_key, secret_key, bucket] = words[..] else {
            return Err(format!("`{line}` is not an address"));
        };
        let [orchestrator, endpoint] = [orchestrator, endpoint].map(str::to_owned);
        let [access_key, secret_key, bucket] = [access_key, secret_key, bucket].map(str::to_owned);
        Ok(Self { orchestrator, endpoint, access_key, secret_key, bucket })
    }
}

/// `files-place BYTES OBJECTS`
pub(crate) fn place(arguments: Arguments<'_>) -> Result<(), String> {
    let [large, many] = arguments.words("BYTES OBJECTS")?;
    place::serve(number(large)?, number(many)?)
}

/// `files-bare KIND DIRECTORY ADDRESS`
pub(crate) fn bare(arguments: Arguments<'_>) -> Result<(), String> {
    let [kind, directory, address] = arguments.words("KIND DIRECTORY ADDRESS")?;
    bare::run(Kind::parse(kind)?, directory.as_ref(), &Address::parse(address)?)
}

/// `files-worker KIND DIRECTORY ADDRESS`
pub(crate) fn worker(arguments: Arguments<'_>) -> Result<(), String> {
    let [_, directory, address] = arguments.words("KIND DIRECTORY ADDRESS")?;
    worker::run(directory.as_ref(), &Address::parse(address)?)
}
