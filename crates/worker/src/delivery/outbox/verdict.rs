//! What an answer means for a result, or the lack of one.
//!
//! | answer | means |
//! |---|---|
//! | 2xx | acknowledged, or ignored, which is obeyed |
//! | 400, 404, 413, 422 | a small failure goes in its place, once |
//! | 401, 403 | nothing is sent for 5 s, then one result; the others once that was answered otherwise. No try, and never final: not even `WORKER_RESULT_MAX_AGE` counts |
//! | 429 | nothing is sent until the silence is over. No try, but the age counts |
//! | 5xx that names an error | tried again for an hour; `Job not found` only until the quick tries have ended; `No suitable workers …` without quick tries |
//! | anything else, or none | tried again until the age is reached |

use std::time::Duration;

use rxon::backoff::add_quarter;
use rxon::model::ResultAnswer;
use rxon::secrets::masked;
use rxon::transport::Response;
use tokio::time::Instant;

use super::{Id, Outbox};
use crate::peer::rate::after_refused_credentials;

/// Kept results are offered this often, plus up to a quarter.
const KEPT_INTERVAL: Duration = Duration::from_secs(30);

/// How long an orchestrator may answer a result with an error of its own before it is given up.
const SERVER_ERROR_PATIENCE: Duration = Duration::from_secs(3600);

/// Both known orchestrators say so to a failure that they would dispatch again, while no worker is idle.
const NOBODY_IDLE: &str = "No suitable workers";

/// Why a result that reached its age is given up.
const TOO_OLD: &str = "it was not acknowledged in all that time";

/// What an answer, or the lack of one, means for a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The orchestrator has it.
    Acknowledged,
    /// The orchestrator has no use for it. Obeyed.
    Ignored(String),
    /// It is tried again after this delay. `newly_kept` after the last of the quick tries.
    Later { delay: Duration, newly_kept: bool },
    /// The orchestrator refuses the worker's credentials: no result is sent for this long.
    Unauthorized(Duration),
    /// The orchestrator has had enough of all results for this long; `first` when that is news.
    Silence { silence: Duration, first: bool },
    /// This body will never be taken: a small failure goes in its place.
    Replace(String),
    /// It is given up.
    Rejected(String),
}

impl Outbox {
    pub(super) fn judge(&mut self, id: Id, response: &Response, now: Instant) -> Verdict {
        if response.is_success() {
            let answer = ResultAnswer::read(&response.body);
            return if answer.is_ignored() {
                let reason = answer.reason.as_deref().unwrap_or("no reason given");
                Verdict::Ignored(masked(reason).into_owned())
            } else {
                Verdict::Acknowledged
            };
        }
        match response.status {
            429 => self.judge_rate_limit(id, response.retry_after, now),
            401 | 403 => Verdict::Unauthorized(after_refused_credentials(&mut self.rng)),
            400 | 404 | 413 | 422 => {
                let size = self.entries.get(&id).map_or(0, |state| state.entry.body.len());
                let problem = format!("result refused: {}, {size} bytes", response.status);
                match self.entries.get(&id) {
                    Some(state) if !state.entry.is_replacement => Verdict::Replace(problem),
                    _ => Verdict::Rejected(problem),
                }
            }
            500..=599 => self.judge_server_error(id, response, now),
            _ => self.again(id, now),
        }
    }

    fn judge_rate_limit(&mut self, id: Id, retry_after: Option<Duration>, now: Instant) -> Verdict {
        let first = self.gate.on_refused(now, retry_after, &mut self.rng);
        let silence = self.gate.closed_until(now).map_or(Duration::ZERO, |until| until.duration_since(now));
        match self.entries.get(&id) {
            Some(state) if state.age(now) < self.settings.max_age => Verdict::Silence { silence, first },
            _ => Verdict::Rejected(TOO_OLD.to_owned()),
        }
    }

    /// An error that the orchestrator itself names will stay; one of a proxy before it passes.
    fn judge_server_error(&mut self, id: Id, response: &Response, now: Instant) -> Verdict {
        let named = serde_json::from_slice::<serde_json::Value>(&response.body)
            .ok()
            .and_then(|body| body.get("error")?.as_str().map(str::to_owned));
        let Some(state) = self.entries.get_mut(&id) else { return self.again(id, now) };
        match named {
            Some(error) => {
                if error.starts_with(NOBODY_IDLE) {
                    // It did count: each further try would cost the job another of its few attempts.
                    state.tries = state.tries.max(self.settings.quick_tries);
                }
                let since = *state.server_error_since.get_or_insert(now);
                let unknown_job = error == "Job not found" && state.tries >= self.settings.quick_tries.max(1);
                if unknown_job || now.duration_since(since) >= SERVER_ERROR_PATIENCE {
                    return Verdict::Rejected(format!("{}: {}", response.status, masked(&error)));
                }
            }
            None => state.server_error_since = None,
        }
        self.again(id, now)
    }

    pub(super) fn again(&mut self, id: Id, now: Instant) -> Verdict {
        let Some(state) = self.entries.get_mut(&id) else {
            return Verdict::Rejected("it is no longer there".to_owned());
        };
        if state.age(now) >= self.settings.max_age {
            return Verdict::Rejected(TOO_OLD.to_owned());
        }
        let kept = state.tries >= self.settings.quick_tries.max(1);
        let newly_kept = kept && !std::mem::replace(&mut state.kept, kept);
        if kept {
            // It may be long: the task's directory does not wait for it.
            state.entry.belongings = None;
        }
        let delay =
            if kept { add_quarter(KEPT_INTERVAL, &mut self.rng) } else { state.backoff.next(&mut self.rng) };
        Verdict::Later { delay, newly_kept }
    }
}
