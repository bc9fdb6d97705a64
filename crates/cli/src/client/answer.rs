//! Answers of the server.

use anyhow::anyhow;
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::exit::Failure;

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    body: Bytes,
    /// The server, without credentials.
    server: String,
    path: String,
}

/// What is wrong, as the server says it. The real orchestrators have other names for it.
#[derive(Deserialize)]
struct Refusal {
    #[serde(alias = "detail", alias = "message")]
    error: serde_json::Value,
}

impl Answer {
    pub(super) fn new(status: StatusCode, body: Bytes, server: String, path: &str) -> Self {
        Self { status, body, server, path: path.split('?').next().unwrap_or_default().to_owned() }
    }

    /// Whether the server knows neither the path, nor what it names.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// Whether the server did what was asked.
    pub(crate) fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// Reads the answer.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        if !self.status.is_success() {
            return Err(self.failure());
        }
        serde_json::from_slice(&self.body).map_err(|error| self.foreign(&error.to_string()))
    }

    /// Returns the answer as it came.
    pub(crate) fn raw(&self) -> Result<Box<RawValue>, Failure> {
        self.read()
    }

    /// Returns the words of the server, or none if they are none of this interface.
    pub(crate) fn refusal(&self) -> Option<String> {
        let refusal: Refusal = serde_json::from_slice(&self.body).ok()?;
        Some(match refusal.error {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        })
    }

    /// Returns the failure that an answer other than success is.
    pub(crate) fn failure(&self) -> Failure {
        if matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let text = self.refusal().unwrap_or_else(|| "access denied".to_owned());
            let failure = Failure::from(anyhow!("{} answered {}: {text}", self.server, self.status.as_u16()));
            return failure
                .with_hint("set `--client-token` or `AVTOMATIKA_CLIENT_TOKEN` to a token of this server");
        }
        match self.refusal() {
            Some(text) => anyhow!(text).into(),
            None => self.foreign("it is not the JSON of this interface"),
        }
    }

    fn foreign(&self, reason: &str) -> Failure {
        let (server, status, path) = (&self.server, self.status.as_u16(), &self.path);
        let text = format!("{server} answered {status} to `{path}`, which cannot be read: {reason}");
        Failure::unavailable(anyhow!(text))
            .with_hint("is it a server of Avtomatika? `--server URL` names another")
    }
}
