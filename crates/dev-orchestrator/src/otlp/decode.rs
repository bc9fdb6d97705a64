//! From the body of a request to its message.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use serde::de::DeserializeOwned;

use super::size::{self, Kind};

/// The largest body, in bytes.
pub(crate) const MAX_BODY: usize = 4 * 1024 * 1024;

/// The largest message, in bytes: a body that is compressed well can be larger than it is.
const MAX_MESSAGE: u64 = 16 * 1024 * 1024;

/// The largest number of log records or spans in a message. Exporters send 512 at once unless they are told otherwise.
pub(super) const MAX_RECORDS: usize = 10_000;

/// The largest number of values in a message: records, attributes, what is in them, and so on.
const MAX_VALUES: usize = 20 * MAX_RECORDS;

/// The encoding of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoding {
    /// JSON, else protobuf.
    pub(crate) is_json: bool,
    pub(crate) is_gzip: bool,
}

/// The reason why a body is not a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rubbish {
    /// It cannot be read.
    Invalid(String),
    /// It is too large when it is uncompressed, or has too many records.
    TooLarge(String),
}

/// Reads a message of this kind.
pub(super) fn message<M>(body: &[u8], encoding: Encoding, kind: Kind) -> Result<M, Rubbish>
where
    M: prost::Message + Default + DeserializeOwned,
{
    let uncompressed;
    let body = if encoding.is_gzip {
        uncompressed = unzip(body)?;
        &uncompressed[..]
    } else {
        body
    };
    let values = if encoding.is_json { size::in_json(body) } else { size::in_protobuf(body, kind) };
    if values > MAX_VALUES {
        let text = format!("the message has {values} values, the limit is {MAX_VALUES}: send less at once");
        return Err(Rubbish::TooLarge(text));
    }
    if !encoding.is_json {
        return M::decode(body)
            .map_err(|error| Rubbish::Invalid(format!("the body is not protobuf: {error}")));
    }
    // A list would be read as the fields of the message, in their order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Rubbish::Invalid("the body is not a JSON object".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| {
        let problem = crate::text::cut(&error.to_string(), 300);
        Rubbish::Invalid(format!("the body is not a message of OpenTelemetry: {problem}"))
    })
}

fn unzip(body: &[u8]) -> Result<Vec<u8>, Rubbish> {
    let mut whole = Vec::new();
    let read = MultiGzDecoder::new(body).take(MAX_MESSAGE + 1).read_to_end(&mut whole);
    read.map_err(|error| Rubbish::Invalid(format!("the body is not gzip: {error}")))?;
    if whole.len() as u64 > MAX_MESSAGE {
        let text = format!("the uncompressed body has more than {MAX_MESSAGE} bytes: send less at once");
        return Err(Rubbish::TooLarge(text));
    }
    Ok(whole)
}

/// Refuses too many records, which are counted up to there.
pub(super) fn limit_records<T>(records: impl Iterator<Item = T>) -> Result<Vec<T>, Rubbish> {
    let records: Vec<T> = records.take(MAX_RECORDS + 1).collect();
    if records.len() > MAX_RECORDS {
        let text = format!("the message has more than {MAX_RECORDS} records, the limit: send less at once");
        return Err(Rubbish::TooLarge(text));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use prost::Message as _;

    use super::super::messages::{
        AnyValue, ArrayValue, KeyValue, LogRecord, LogsRequest, ResourceLogs, ScopeLogs, TracesRequest, Value,
    };
    use super::super::size::Item;
    use super::*;

    fn read(body: &[u8], is_json: bool, is_gzip: bool) -> Result<LogsRequest, Rubbish> {
        message(body, Encoding { is_json, is_gzip }, Kind::Request(Item::Record))
    }

    fn zipped(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).expect("written");
        encoder.finish().expect("written")
    }

    fn example() -> LogsRequest {
        let any = |value| Some(AnyValue { value: Some(value) });
        let list =
            ArrayValue { values: vec![AnyValue { value: Some(Value::Bool(true)) }, AnyValue::default()] };
        let record = LogRecord {
            time_unix_nano: 1_700_000_000_123_456_789,
            severity_number: 9,
            severity_text: "INFO".to_owned(),
            body: any(Value::Text("hello".to_owned())),
            attributes: vec![
                KeyValue { key: "n".to_owned(), value: any(Value::Integer(-5)) },
                KeyValue { key: "list".to_owned(), value: any(Value::List(list)) },
                KeyValue { key: "bytes".to_owned(), value: any(Value::Bytes(vec![1, 255])) },
            ],
            trace_id: vec![0xab; 16],
            span_id: vec![1; 8],
            observed_time_unix_nano: 5,
        };
        let scope_logs = vec![ScopeLogs { log_records: vec![record] }];
        LogsRequest { resource_logs: vec![ResourceLogs { resource: None, scope_logs }] }
    }

    const JSON: &str = r#"{"resourceLogs": [{"schemaUrl": "x", "scopeLogs": [{"scope": {"name": "s"}, "logRecords": [{
        "timeUnixNano": "1700000000123456789", "severityNumber": 9, "severityText": "INFO", "flags": 1,
        "body": {"stringValue": "hello"}, "observedTimeUnixNano": 5,
        "attributes": [
            {"key": "n", "value": {"intValue": "-5"}},
            {"key": "list", "value": {"arrayValue": {"values": [{"boolValue": true}, {}]}}},
            {"key": "bytes", "value": {"bytesValue": "Af8="}}],
        "traceId": "ABABABABabababababababababababab", "spanId": "0101010101010101"}]}]}]}"#;

    #[test]
    fn every_encoding_of_a_message_is_read_alike() {
        let binary = example().encode_to_vec();
        for (body, is_json) in [(binary.as_slice(), false), (JSON.as_bytes(), true)] {
            assert_eq!(read(body, is_json, false), Ok(example()));
            assert_eq!(read(&zipped(body), is_json, true), Ok(example()));
        }
        assert_eq!(read(b"", false, false), Ok(LogsRequest::default()));
        assert_eq!(read(b"{}", true, false), Ok(LogsRequest::default()));
    }

    #[test]
    fn rubbish_is_refused() {
        let half = &example().encode_to_vec()[..50];
        for (body, is_json, is_gzip) in [
            (&b""[..], true, false),
            (b"[]", true, false),
            (b"5", true, false),
            (b"<html>", true, false),
            (b"{\"resourceLogs\": 5}", true, false),
            (
                b"{\"resourceLogs\": [{\"scopeLogs\": [{\"logRecords\": [{\"traceId\": \"xy\"}]}]}]}",
                true,
                false,
            ),
            (
                b"{\"resourceLogs\": [{\"scopeLogs\": [{\"logRecords\": [{\"timeUnixNano\": \"a\"}]}]}]}",
                true,
                false,
            ),
            (b"<html>", false, false),
            (b"{}", false, false),
            (half, false, false),
            (b"{}", true, true),
            (&zipped(b"{}")[..10], true, true),
        ] {
            let refused = read(body, is_json, is_gzip);
            assert!(matches!(refused, Err(Rubbish::Invalid(_))), "{body:?}: {refused:?}");
        }
    }

    #[test]
    fn a_small_body_cannot_become_large() {
        let bomb = zipped(&vec![b' '; 17 * 1024 * 1024]);
        assert!(bomb.len() < 100_000);
        assert!(matches!(read(&bomb, true, true), Err(Rubbish::TooLarge(_))));
        let deep = [b"{\"resourceSpans\":".repeat(1000), b"[".repeat(100_000)].concat();
        let json = Encoding { is_json: true, is_gzip: false };
        let refused = message::<TracesRequest>(&deep, json, Kind::Request(Item::Span));
        assert!(matches!(refused, Err(Rubbish::Invalid(_))));
    }

    #[test]
    fn many_empty_values_are_refused_before_they_take_memory() {
        // A part with a scope with records, each of two bytes.
        let records = |count: usize| {
            let scope = ScopeLogs { log_records: vec![LogRecord::default(); count] };
            let part = ResourceLogs { resource: None, scope_logs: vec![scope] };
            LogsRequest { resource_logs: vec![part] }.encode_to_vec()
        };
        assert!(read(&records(MAX_RECORDS), false, false).is_ok());
        assert!(matches!(read(&records(MAX_VALUES), false, false), Err(Rubbish::TooLarge(_))));
        let json = format!(
            r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{}{{}}]}}]}}]}}"#,
            "{},".repeat(MAX_VALUES)
        );
        assert!(matches!(read(json.as_bytes(), true, false), Err(Rubbish::TooLarge(_))));
    }
}
