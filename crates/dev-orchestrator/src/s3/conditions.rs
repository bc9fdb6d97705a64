//! `If-Match` and its like.

use std::time::{SystemTime, UNIX_EPOCH};

use s3s::dto::{ETag, ETagCondition, Timestamp};
use s3s::{S3Result, s3_error};

use super::store::Object;

/// What a request wants to be true of an object.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    pub(super) matches: Option<ETagCondition>,
    pub(super) none_matches: Option<ETagCondition>,
    pub(super) modified_since: Option<Timestamp>,
    pub(super) unmodified_since: Option<Timestamp>,
}

impl Conditions {
    /// Whether the object may be read; `304` where it is what the client has already.
    pub(super) fn check_read(&self, object: &Object) -> S3Result<()> {
        let modified = whole_seconds(object.modified);
        let kept = match &self.matches {
            Some(condition) => meets(condition, object),
            None => self.unmodified_since.as_ref().is_none_or(|since| modified <= *since),
        };
        if !kept {
            return Err(s3_error!(PreconditionFailed));
        }
        let known = match &self.none_matches {
            Some(condition) => meets(condition, object),
            None => self.modified_since.as_ref().is_some_and(|since| modified <= *since),
        };
        if known { Err(s3_error!(NotModified)) } else { Ok(()) }
    }

    /// Whether an object may be written in the place of `present`.
    pub(super) fn check_write(&self, present: Option<&Object>) -> S3Result<()> {
        match (&self.matches, present) {
            (Some(_), None) => return Err(s3_error!(NoSuchKey)),
            (Some(condition), Some(object)) if !meets(condition, object) => {
                return Err(s3_error!(PreconditionFailed));
            }
            _ => {}
        }
        match (&self.none_matches, present) {
            (Some(condition), Some(object)) if meets(condition, object) => Err(s3_error!(PreconditionFailed)),
            _ => Ok(()),
        }
    }
}

fn meets(condition: &ETagCondition, object: &Object) -> bool {
    condition.as_etag().map(ETag::value).is_none_or(|value| value == object.etag)
}

/// As the client was told: headers know no fractions of a second.
fn whole_seconds(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    (UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs())).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::store::Attributes;

    fn object(etag: &str) -> Object {
        Object {
            etag: etag.to_owned(),
            size: 0,
            modified: UNIX_EPOCH + std::time::Duration::from_millis(100_500),
            segments: Vec::new(),
            attributes: Attributes::default(),
        }
    }

    fn etag(value: &str) -> ETagCondition {
        ETagCondition::ETag(ETag::Strong(value.to_owned()))
    }

    fn at(seconds: u64) -> Timestamp {
        (UNIX_EPOCH + std::time::Duration::from_secs(seconds)).into()
    }

    fn status(result: S3Result<()>) -> u16 {
        result.err().and_then(|error| error.status_code()).map_or(200, |status| status.as_u16())
    }

    #[test]
    fn reading() {
        let rows = [
            (Conditions::default(), 200),
            (Conditions { matches: Some(etag("a")), ..Conditions::default() }, 200),
            (Conditions { matches: Some(etag("b")), ..Conditions::default() }, 412),
            (Conditions { none_matches: Some(etag("a")), ..Conditions::default() }, 304),
            (Conditions { none_matches: Some(etag("b")), ..Conditions::default() }, 200),
            (Conditions { none_matches: Some(ETagCondition::Any), ..Conditions::default() }, 304),
            (Conditions { modified_since: Some(at(99)), ..Conditions::default() }, 200),
            (Conditions { modified_since: Some(at(100)), ..Conditions::default() }, 304),
            (Conditions { unmodified_since: Some(at(99)), ..Conditions::default() }, 412),
            (Conditions { unmodified_since: Some(at(100)), ..Conditions::default() }, 200),
            // The ETag says more than the time.
            (
                Conditions {
                    matches: Some(etag("a")),
                    unmodified_since: Some(at(1)),
                    ..Conditions::default()
                },
                200,
            ),
            (
                Conditions {
                    none_matches: Some(etag("b")),
                    modified_since: Some(at(200)),
                    ..Conditions::default()
                },
                200,
            ),
        ];
        for (conditions, expected) in rows {
            assert_eq!(status(conditions.check_read(&object("a"))), expected, "{conditions:?}");
        }
    }

    #[test]
    fn writing() {
        let present = object("a");
        let rows = [
            (Conditions { none_matches: Some(ETagCondition::Any), ..Conditions::default() }, 412, 200),
            (Conditions { matches: Some(ETagCondition::Any), ..Conditions::default() }, 200, 404),
            (Conditions { matches: Some(etag("a")), ..Conditions::default() }, 200, 404),
            (Conditions { matches: Some(etag("b")), ..Conditions::default() }, 412, 404),
            (Conditions::default(), 200, 200),
        ];
        for (conditions, over_it, into_nothing) in rows {
            assert_eq!(status(conditions.check_write(Some(&present))), over_it, "{conditions:?}");
            assert_eq!(status(conditions.check_write(None)), into_nothing, "{conditions:?}");
        }
    }
}
