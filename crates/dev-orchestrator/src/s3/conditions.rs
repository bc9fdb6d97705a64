//! Conditional requests: `If-Match` and similar headers.

use std::time::{SystemTime, UNIX_EPOCH};

use s3s::dto::{ETag, ETagCondition, Timestamp};
use s3s::{S3Result, s3_error};

/// The conditions of a request on an object.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    pub(super) matches: Option<ETagCondition>,
    pub(super) none_matches: Option<ETagCondition>,
    pub(super) modified_since: Option<Timestamp>,
    pub(super) unmodified_since: Option<Timestamp>,
}

impl Conditions {
    /// Checks whether an object may be read. The error is `304` if the client already has this object.
    pub(super) fn check_read(&self, etag: &str, modified: SystemTime) -> S3Result<()> {
        let modified = whole_seconds(modified);
        let kept = match &self.matches {
            Some(condition) => meets(condition, etag),
            None => self.unmodified_since.as_ref().is_none_or(|since| modified <= *since),
        };
        if !kept {
            return Err(s3_error!(PreconditionFailed));
        }
        let known = match &self.none_matches {
            Some(condition) => meets(condition, etag),
            None => self.modified_since.as_ref().is_some_and(|since| modified <= *since),
        };
        if known { Err(s3_error!(NotModified)) } else { Ok(()) }
    }

    /// Checks whether an object may be written; `present` is the `ETag` of the existing one.
    pub(super) fn check_write(&self, present: Option<&str>) -> S3Result<()> {
        match (&self.matches, present) {
            (Some(_), None) => return Err(s3_error!(NoSuchKey)),
            (Some(condition), Some(etag)) if !meets(condition, etag) => {
                return Err(s3_error!(PreconditionFailed));
            }
            _ => {}
        }
        match (&self.none_matches, present) {
            (Some(condition), Some(etag)) if meets(condition, etag) => Err(s3_error!(PreconditionFailed)),
            _ => Ok(()),
        }
    }
}

fn meets(condition: &ETagCondition, etag: &str) -> bool {
    condition.as_etag().map(ETag::value).is_none_or(|value| value == etag)
}

/// Returns the time without fractions of a second, as headers show it.
fn whole_seconds(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    (UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100.5 s after 1970.
    fn modified() -> SystemTime {
        UNIX_EPOCH + std::time::Duration::from_millis(100_500)
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
            // The ETag takes precedence over the time.
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
            assert_eq!(status(conditions.check_read("a", modified())), expected, "{conditions:?}");
        }
    }

    #[test]
    fn writing() {
        let rows = [
            (Conditions { none_matches: Some(ETagCondition::Any), ..Conditions::default() }, 412, 200),
            (Conditions { matches: Some(ETagCondition::Any), ..Conditions::default() }, 200, 404),
            (Conditions { matches: Some(etag("a")), ..Conditions::default() }, 200, 404),
            (Conditions { matches: Some(etag("b")), ..Conditions::default() }, 412, 404),
            (Conditions::default(), 200, 200),
        ];
        for (conditions, over_it, into_nothing) in rows {
            assert_eq!(status(conditions.check_write(Some("a"))), over_it, "{conditions:?}");
            assert_eq!(status(conditions.check_write(None)), into_nothing, "{conditions:?}");
        }
    }
}
