//! The signed form of a result, written from the result itself, once for all tries.

use std::fmt;

use hmac::{Hmac, Mac};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::Sha256;

use super::canonical::Output;
use super::signer::{Signer, hex};
use super::stamp::Stamp;
use crate::model::TaskResult;

/// A result made ready for signing: everything but the seal is in canonical form, and hashed up to the place of the seal.
///
/// Data comes before that place, so this holds no second copy of it. It belongs to the [`Seal`](super::Seal) that made it.
#[derive(Clone)]
pub struct PreparedResult {
    /// The hash of the members before the nonce.
    begin: Hmac<Sha256>,
    /// The members after the nonce.
    rest: Box<[u8]>,
    /// The place of the timestamp among them.
    timestamp_at: usize,
}

impl PreparedResult {
    /// Returns `None` for a result without a canonical form; the canonical form of its text tells the reason.
    pub(super) fn new(result: &TaskResult, signer: &Signer) -> Option<Self> {
        let mut out = Output::with_capacity(256 + length(result.data.as_deref()));
        let [nonce_at, timestamp_at] = write(result, &mut out).ok()?;
        let (before, rest) = out.bytes.split_at(nonce_at);
        let mut begin = signer.begin();
        begin.update(before);
        Some(Self { begin, rest: rest.into(), timestamp_at: timestamp_at - nonce_at })
    }

    /// Returns the signature of the result with this stamp, in hex.
    pub(super) fn sign(&self, stamp: &Stamp) -> [[u8; 2]; 32] {
        let (between, end) = self.rest.split_at(self.timestamp_at);
        let mut out = Output::with_capacity(self.rest.len() + 96);
        out.bytes.extend_from_slice(br#""nonce":""#);
        out.bytes.extend_from_slice(stamp.nonce.as_flattened());
        out.bytes.extend_from_slice(b"\",");
        out.bytes.extend_from_slice(between);
        out.bytes.extend_from_slice(br#""timestamp":"#);
        out.write(&stamp.timestamp);
        out.bytes.push(b',');
        out.bytes.extend_from_slice(end);
        let mut hash = self.begin.clone();
        hash.update(&out.bytes);
        hex(&hash.finalize().into_bytes().into())
    }
}

impl fmt::Debug for PreparedResult {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PreparedResult")
    }
}

fn length(json: Option<&RawValue>) -> usize {
    json.map_or(0, |json| json.get().len())
}

/// Writes the members of a result in the order of their names. Returns the places of the nonce and the timestamp.
fn write(result: &TaskResult, out: &mut Output) -> serde_json::Result<[usize; 2]> {
    // Without `..`, so that no member is forgotten.
    let TaskResult {
        job_id,
        task_id,
        worker_id,
        origin_worker_id,
        status,
        data,
        error,
        data_metadata,
        metadata,
        costs,
    } = result;
    out.bytes.push(b'{');
    if let Some(costs) = costs {
        out.write_member(r#""costs""#, |out| {
            if !costs.further.is_empty() {
                return write_value(costs, out);
            }
            out.bytes.push(b'{');
            out.write_member(r#""execution_time_seconds""#, |out| {
                out.write_float(costs.execution_time_seconds)
            })?;
            out.end_object();
            Ok(())
        })?;
    }
    if let Some(data) = data {
        out.write_member(r#""data""#, |out| out.write_json(data.get()))?;
    }
    if !data_metadata.is_empty() {
        out.write_member(r#""data_metadata""#, |out| write_value(data_metadata, out))?;
    }
    if let Some(error) = error {
        out.write_member(r#""error""#, |out| write_value(error, out))?;
    }
    write_text(r#""job_id""#, job_id.as_str(), out)?;
    if let Some(metadata) = metadata {
        out.write_member(r#""metadata""#, |out| out.write_json(metadata.get()))?;
    }
    let nonce_at = out.bytes.len();
    write_text(r#""origin_worker_id""#, origin_worker_id.as_str(), out)?;
    write_text(r#""status""#, status, out)?;
    write_text(r#""task_id""#, task_id.as_str(), out)?;
    let timestamp_at = out.bytes.len();
    write_text(r#""worker_id""#, worker_id.as_str(), out)?;
    out.end_object();
    Ok([nonce_at, timestamp_at])
}

fn write_text(quoted_name: &str, text: &str, out: &mut Output) -> serde_json::Result<()> {
    out.write_member(quoted_name, |out| {
        out.write_text(text);
        Ok(())
    })
}

/// Writes a value by way of its JSON: such members are rare.
fn write_value(value: &impl Serialize, out: &mut Output) -> serde_json::Result<()> {
    out.write_json(&serde_json::to_string(value)?)
}
