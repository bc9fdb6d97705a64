//! Authentication of workers: tokens, signatures, and the refusal of old and repeated messages.

mod replay;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, StatusCode};
use rxon::WorkerId;
use rxon::signing::{Signer, unix_seconds};
use serde::Deserialize;
use serde_json::value::RawValue;

use self::replay::Seen;
use crate::clock::Now;
use crate::imitate::Imitation;
use crate::refusal::Refusal;

/// The largest difference between a message's timestamp and our clock, in seconds, in either direction.
const MAX_CLOCK_DIFFERENCE: u64 = 60;

/// Checks the messages of workers.
#[derive(Debug)]
pub(crate) struct Auth {
    /// The required token, with a signer made of it; `None` accepts any token.
    expected: Option<(String, Signer)>,
    imitation: Option<Imitation>,
    /// Whether no token is accepted.
    suspended: Arc<AtomicBool>,
    seen: Mutex<Seen>,
}

/// The fields of a message that concern its signature. Their types are checked where they are used.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    security: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow, default)]
    event_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    nonce: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Security {
    #[serde(default)]
    signature: Option<String>,
    #[serde(default)]
    signer_id: Option<String>,
}

impl Auth {
    pub(crate) fn new(token: Option<String>, imitation: Option<Imitation>, suspended: Arc<AtomicBool>) -> Self {
        let expected = token.map(|token| {
            let signer = Signer::new(&token);
            (token, signer)
        });
        Self { expected, imitation, suspended, seen: Mutex::new(Seen::new()) }
    }

    /// Returns the token of a request if it is accepted.
    pub(crate) fn token<'h>(&self, headers: &'h HeaderMap) -> Result<&'h str, Refusal> {
        let status = self.imitation.map_or(StatusCode::UNAUTHORIZED, Imitation::unauthorized);
        let refused = |text: &str| Err(Refusal::new(status, text));
        let header = headers.get("x-worker-token").map(|value| value.to_str());
        let token = match header {
            Some(Ok(token)) if !token.is_empty() => token,
            Some(Err(_)) => {
                return refused("the header `X-Worker-Token` contains characters other than visible ASCII");
            }
            _ => {
                return refused(
                    "the header `X-Worker-Token` is missing or empty: set `WORKER_TOKEN` for the worker",
                );
            }
        };
        if self.suspended.load(Ordering::Relaxed) {
            return Err(Refusal::new(
                StatusCode::UNAUTHORIZED,
                "the token in `X-Worker-Token` has expired: get a new one, or try again later",
            ));
        }
        match &self.expected {
            Some((expected, _)) if !same(expected, token) => refused(
                "the token in `X-Worker-Token` is not the one this orchestrator was started with: \
                 check `WORKER_TOKEN` of the worker",
            ),
            _ => Ok(token),
        }
    }

    /// Checks the signature of a message, if it has one, and that the message is neither old nor repeated. An imitated
    /// orchestrator looks at no signature, or wants one.
    pub(crate) fn message(
        &self,
        body: &[u8],
        token: &str,
        worker: &WorkerId,
        ignore: &[&str],
    ) -> Result<(), Refusal> {
        if self.imitation == Some(Imitation::Older) {
            return Ok(());
        }
        let envelope: Envelope<'_> = serde_json::from_slice(body)
            .map_err(|error| Refusal::bad_request(format!("the body is not a JSON object: {error}")))?;
        let Some(security) = envelope.security else { return self.unsigned() };
        let security: Security = serde_json::from_str(security.get())
            .map_err(|error| Refusal::bad_request(format!("`security` is not as expected: {error}")))?;
        let Some(signature) = security.signature else { return self.unsigned() };
        if let Some(signer) = security.signer_id.filter(|signer| signer != worker.as_str()) {
            let signer = crate::text::cut(&signer, 200);
            return Err(Refusal::forbidden(format!(
                "`security.signer_id` is `{signer}`, expected `{worker}`"
            )));
        }
        check_freshness(envelope.timestamp)?;
        let fits = match &self.expected {
            Some((_, signer)) => signer.verify(body, ignore, &signature),
            None => Signer::new(token).verify(body, ignore, &signature),
        };
        if !fits {
            return Err(Refusal::forbidden(
                "the signature in `security` does not match the message: it was made with another token than the one \
                 in `X-Worker-Token`, or the message was changed on the way",
            ));
        }
        let nonce = [envelope.event_id, envelope.nonce, envelope.message_id]
            .into_iter()
            .flatten()
            .map(RawValue::get)
            .find(|nonce| !matches!(*nonce, "\"\"" | "null" | "0" | "false"))
            .unwrap_or(&signature);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_new(&(worker, nonce), Now::read().instant) {
            Ok(())
        } else {
            Err(Refusal::forbidden("Duplicate message detected (replay attack)"))
        }
    }

    fn unsigned(&self) -> Result<(), Refusal> {
        match self.imitation {
            Some(Imitation::Newer) => Err(Refusal::forbidden(
                "the message has no `security.signature`, expected one made with the token of the worker",
            )),
            _ => Ok(()),
        }
    }
}

fn check_freshness(timestamp: Option<&RawValue>) -> Result<(), Refusal> {
    let Some(timestamp) = timestamp else {
        return Err(Refusal::forbidden("Missing required timestamp for replay protection"));
    };
    let Ok(seconds) = serde_json::from_str::<i64>(timestamp.get()) else {
        let shown = crate::text::cut(timestamp.get(), 80);
        return Err(Refusal::bad_request(format!("`timestamp` is `{shown}`, expected whole Unix seconds")));
    };
    let now = unix_seconds();
    match u64::try_from(seconds) {
        Ok(seconds) if seconds.abs_diff(now) <= MAX_CLOCK_DIFFERENCE => Ok(()),
        _ => Err(Refusal::forbidden(format!(
            "Message timestamp expired: it is {seconds}, the time here is {now}; check the clocks"
        ))),
    }
}

/// Compares tokens in a time that does not depend on the position of the first difference.
fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}
