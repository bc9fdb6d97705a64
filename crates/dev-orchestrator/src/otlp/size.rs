//! The number of values in a message, counted before it is read: a message without content needs two bytes as it is sent,
//! and a hundred times as much in memory.

use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// The depth below which nothing is counted: both encodings refuse deeper messages.
const MAX_DEPTH: usize = 100;

/// A message of OpenTelemetry's, as far as other messages are in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Request(Item),
    Part(Item),
    Resource,
    Scope(Item),
    Item(Item),
    Pair,
    Any,
    List,
    Object,
}

/// What a request has many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    Record,
    Span,
}

impl Kind {
    /// Returns the kind of the message in a field.
    fn field(self, tag: u32) -> Option<Self> {
        Some(match (self, tag) {
            (Self::Request(item), 1) => Self::Part(item),
            (Self::Part(_), 1) => Self::Resource,
            (Self::Part(item), 2) => Self::Scope(item),
            (Self::Scope(item), 2) => Self::Item(item),
            (Self::Item(Item::Record), 5) | (Self::Pair, 2) | (Self::List, 1) => Self::Any,
            (Self::Item(Item::Record), 6)
            | (Self::Item(Item::Span), 9)
            | (Self::Resource | Self::Object, 1) => Self::Pair,
            (Self::Any, 5) => Self::List,
            (Self::Any, 6) => Self::Object,
            _ => return None,
        })
    }
}

/// Counts the messages in one of protobuf, up to the first mistake: reading ends there, too.
pub(super) fn in_protobuf(body: &[u8], kind: Kind) -> usize {
    let mut count = 0;
    // The mistake is named when the message is read.
    let _ = count_in(body, kind, MAX_DEPTH, &mut count);
    count
}

fn count_in(mut body: &[u8], kind: Kind, depth: usize, count: &mut usize) -> Result<(), DecodeError> {
    while !body.is_empty() {
        let (tag, wire_type) = decode_key(&mut body)?;
        let inner = kind.field(tag).filter(|_| wire_type == WireType::LengthDelimited && depth > 0);
        let Some(inner) = inner else {
            skip_field(wire_type, tag, &mut body, DecodeContext::default())?;
            continue;
        };
        let length = usize::try_from(decode_varint(&mut body)?).unwrap_or(usize::MAX);
        let (content, rest) = body.split_at_checked(length).unwrap_or((body, &[]));
        *count += 1;
        count_in(content, inner, depth - 1, count)?;
        body = rest;
    }
    Ok(())
}

/// Counts the objects and lists in JSON, which may be none.
pub(super) fn in_json(body: &[u8]) -> usize {
    let (mut count, mut at) = (0, 0);
    while let Some(byte) = body.get(at) {
        match byte {
            b'"' => {
                at += 1;
                while let Some(byte) = body.get(at).filter(|byte| **byte != b'"') {
                    at += if *byte == b'\\' { 2 } else { 1 };
                }
            }
            b'{' | b'[' => count += 1,
            _ => {}
        }
        at += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_at_every_depth() {
        let logs = Kind::Request(Item::Record);
        // A part with a scope with two records, of which one has an attribute without a value.
        let message = [0x0a, 8, 0x12, 6, 0x12, 0, 0x12, 2, 0x32, 0];
        assert_eq!(in_protobuf(&message, logs), 5);
        assert_eq!(in_protobuf(&message, Kind::Request(Item::Span)), 4, "6 is no attribute of a span");
        for length in 0..message.len() {
            assert!(in_protobuf(&message[..length], logs) <= 5);
        }
        assert_eq!(in_protobuf(b"<html>", logs), 0);
        let deep = (0..1000).fold(Vec::new(), |inner: Vec<u8>, _| {
            let list = [&[0x0a][..], &length(inner.len()), &inner].concat();
            [&[0x2a][..], &length(list.len()), &list].concat()
        });
        assert_eq!(in_protobuf(&deep, Kind::Any), MAX_DEPTH);
    }

    fn length(mut length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while length >= 0x80 {
            bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes
    }

    #[test]
    fn brackets_in_texts_are_not_counted() {
        assert_eq!(in_json(br#"{"a{": ["[", "\"{", {}], "b": 5}"#), 3);
        assert_eq!(in_json(b"[[[\"[["), 3);
        assert_eq!(in_json(b"\"\\"), 0);
    }
}
