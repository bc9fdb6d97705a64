//! Imitating the real orchestrators, for what a worker meets there and not here.
//!
//! | | 1.0b12 | 1.0b30 |
//! |---|---|---|
//! | a worker's registration is answered | without `version`, as every answer | with `version` |
//! | a wrong or missing token | 401 | 403 |
//! | unsigned messages | accepted; signatures are not looked at | 403 |
//! | a heartbeat with a body from an unknown worker | `null` | `{"status": "ok"}` |
//! | a result | `{"status": "ok"}`; 500 for an unknown job | `accepted` or `ignored` |
//! | a result with any task id of a job | completes its present step | is `ignored` if it is not the present one |
//! | `?timeout=` of a poll | ignored | ignored |
//! | an abandoned poll | swallows the next task | swallows the next task |
//! | no worker is idle | the task is quarantined at once | the task is quarantined at once |
//! | the next try after a failure | at once | at once |
//! | a silent worker | is given up after 120 s, its tasks keep their time | the same |
//! | requests of a worker in 60 s | 60 polls, 100 of each other kind | 60 polls, 120 heartbeats, 100 of each other kind |

mod limits;

use std::fmt;
use std::str::FromStr;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

pub(crate) use self::limits::{Kind, Limits};

/// A real orchestrator whose behaviour towards workers is imitated: see [`Settings::with_imitation`].
///
/// [`Settings::with_imitation`]: crate::Settings::with_imitation
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Imitation {
    /// `avtomatika` 1.0b12, with the protocol 1.0b2.
    #[serde(rename = "1.0b12")]
    Older,
    /// `avtomatika` 1.0b30, with the protocol 1.0b17.
    #[serde(rename = "1.0b30")]
    Newer,
}

impl Imitation {
    /// All of them, the older one first.
    pub const ALL: [Self; 2] = [Self::Older, Self::Newer];

    /// The version of the orchestrator: `1.0b12` or `1.0b30`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Older => "1.0b12",
            Self::Newer => "1.0b30",
        }
    }

    /// The status for requests without the right token.
    pub(crate) fn unauthorized(self) -> StatusCode {
        match self {
            Self::Older => StatusCode::UNAUTHORIZED,
            Self::Newer => StatusCode::FORBIDDEN,
        }
    }
}

impl fmt::Display for Imitation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The error for a text that is not the version of an orchestrator that can be imitated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be imitated, expected `1.0b12` or `1.0b30`")]
pub struct UnknownImitation(String);

impl FromStr for Imitation {
    type Err = UnknownImitation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|imitation| imitation.as_str() == text);
        known.ok_or_else(|| UnknownImitation(crate::text::cut(text, 80)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orchestrator_is_read_by_its_version() {
        for imitation in Imitation::ALL {
            let version = imitation.as_str();
            assert_eq!(version.parse(), Ok(imitation));
            assert_eq!(serde_json::to_value(imitation).expect("a text"), version);
        }
        let error = "1.0b20".parse::<Imitation>().expect_err("no such").to_string();
        assert!(["`1.0b20`", "`1.0b12`", "`1.0b30`"].iter().all(|name| error.contains(name)), "{error}");
    }
}
