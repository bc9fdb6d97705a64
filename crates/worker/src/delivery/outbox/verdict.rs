//! A result in the outbox, and the verdict on it after a try. Pure.
//!
//! | answer | verdict |
//! |---|---|
//! | 2xx with JSON, or empty | acknowledged, or ignored, which is obeyed |
//! | 400, 404, 422 with JSON; 413 | a small failure replaces the result, once |
//! | 400, 404, 422 without JSON | tried again, since another server speaks; as with JSON once such answers have repeated for 10 minutes |
//! | 401, 403 | nothing is sent for 5 s, then a single result; the others once that was answered otherwise. Not a try, and never final: not even `WORKER_RESULT_MAX_AGE` counts |
//! | 429 | nothing is sent until the silence is over. Not a try, but the age counts |
//! | 5xx that names an error | tried again for an hour; `Job not found` only until the quick tries have ended; `No suitable workers …` without quick tries |
//! | 2xx, then cut off | as none; but where `RESULT_RESEND_AMBIGUOUS` forbids a repeat, acknowledged |
//! | any other, or none | tried again until the age is reached |

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use rxon::backoff::{Backoff, Jitter, add_quarter};
use rxon::model::ResultAnswer;
use rxon::secrets::masked;
use rxon::signing::PreparedResult;
use rxon::transport::Response;
use rxon::{Error, JobId, TaskId};
use tokio::time::Instant;

use super::passage::Sign;
use crate::delivery::record::Key;
use crate::files::DirectoryGuard;
use crate::peer::answer::Answer;
use crate::peer::rate::after_refused_credentials;

/// The greatest delay between quick tries.
const MAX_QUICK_DELAY: Duration = Duration::from_secs(60);

/// The interval at which kept results are offered, plus up to a quarter.
const KEPT_INTERVAL: Duration = Duration::from_secs(30);

/// The time after which a result that is always answered with an error of the orchestrator itself is given up.
const SERVER_ERROR_PATIENCE: Duration = Duration::from_secs(3600);

/// The time after which even another server's refusal of a body is taken for final.
const FOREIGN_PATIENCE: Duration = Duration::from_secs(600);

/// The least time in which a result of an earlier process is tried, whatever its age seems to be: the clock may have
/// changed between the two.
const MIN_TRIED: Duration = Duration::from_secs(3600);

/// The answer of both known orchestrators to a failure that they would dispatch again, while no worker is idle.
const NOBODY_IDLE: &str = "No suitable workers";

/// The reason for giving up a result that has reached the maximum age.
pub(super) const TOO_OLD: &str = "it was not acknowledged within `WORKER_RESULT_MAX_AGE`";

/// The settings of all results.
#[derive(Debug, Clone)]
pub(crate) struct OutboxSettings {
    /// The number of tries before a result is kept; at least one is made.
    pub(crate) quick_tries: u32,
    /// The delay before the second try.
    pub(crate) first_delay: Duration,
    /// The age at which a result that was never acknowledged is given up.
    pub(crate) max_age: Duration,
    /// Whether a result that an older orchestrator may have received is sent again.
    pub(crate) resend_ambiguous: bool,
    /// The maximum number of tries at once after an outage.
    pub(crate) max_at_once: usize,
    /// The number of orchestrators that share the limits of the room for results.
    pub(crate) sharers: usize,
}

/// A result.
#[derive(Debug, Clone)]
pub(crate) struct OutboxEntry {
    pub(crate) task_id: TaskId,
    pub(crate) job_id: JobId,
    /// The JSON of the result, not sealed.
    pub(crate) body: Bytes,
    /// The same result, ready to be signed. Only a result that was handed in as such has it: not one from the disk.
    pub(crate) prepared: Option<Arc<PreparedResult>>,
    /// The result replaces one that was refused.
    pub(crate) is_replacement: bool,
    /// The belongings of the task, until the result is acknowledged or kept.
    pub(crate) belongings: Option<DirectoryGuard>,
    /// The number of the result on disk, if it is kept there.
    pub(crate) stored: Option<Key>,
}

impl OutboxEntry {
    /// A result as it is handed in, without belongings and not on disk.
    pub(crate) fn new(task_id: TaskId, job_id: JobId, body: Bytes) -> Self {
        Self { task_id, job_id, body, prepared: None, is_replacement: false, belongings: None, stored: None }
    }
}

/// The reply to a try.
#[derive(Debug)]
pub(crate) enum Reply {
    Answer(Response),
    /// No answer; `recognises_repeats` if the orchestrator can tell a repeated result from a new one.
    NoAnswer {
        error: Error,
        recognises_repeats: bool,
    },
    /// The result could not be sent at all, for this reason.
    Unsendable(String),
    /// The sender was lost.
    Unknown,
}

impl Reply {
    /// The answer, if an exchange took place.
    pub(crate) fn answer(&self) -> Option<Answer<'_>> {
        match self {
            Self::Answer(response) => Some(Answer::of(response)),
            Self::NoAnswer { error, .. } => Some(Answer::Nothing(error)),
            Self::Unsendable(_) | Self::Unknown => None,
        }
    }

    /// The reason that the orchestrator or the error gives.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Answer(response) => response.error_text(),
            Self::NoAnswer { error, .. } => error.chain().to_string(),
            Self::Unsendable(_) | Self::Unknown => String::new(),
        }
    }
}

/// What an answer says of the way to the orchestrator, if it says anything but that the credentials are refused.
pub(super) fn sign(answer: &Answer<'_>) -> Option<Sign> {
    match answer {
        Answer::Good | Answer::Unknown(_) | Answer::Invalid(_) => Some(Sign::Taken),
        Answer::TooMany(_) => Some(Sign::Limited),
        Answer::Foreign(_) | Answer::Bad(_) | Answer::Failed(_) | Answer::Nothing(_) => Some(Sign::Nothing),
        Answer::Unauthorized(_) => None,
    }
}

/// The verdict on a result after a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The orchestrator has the result.
    Acknowledged,
    /// The orchestrator has no use for the result, for this reason. Obeyed.
    Ignored(String),
    /// The result is tried again after this delay. `newly_kept` after the last of the quick tries.
    Later { delay: Duration, newly_kept: bool },
    /// The orchestrator refuses the worker's credentials: no result is sent for this long.
    Unauthorized(Duration),
    /// The orchestrator limits the rate of results: none is sent for this long.
    Silence(Duration),
    /// This body will never be taken: a small failure replaces it.
    Replace(String),
    /// The result is given up.
    Rejected(String),
}

/// A result that is not acknowledged, with the history of its tries.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) entry: OutboxEntry,
    pub(super) is_in_flight: bool,
    tries: u32,
    backoff: Backoff,
    since: Instant,
    /// The age that it seemed to have then, if it is from an earlier process.
    earlier: Option<Duration>,
    /// When the first try ended.
    tried_since: Option<Instant>,
    server_error_since: Option<Instant>,
    /// When another server began to refuse the body in the orchestrator's place.
    foreign_since: Option<Instant>,
    is_kept: bool,
}

impl Pending {
    pub(super) fn new(
        entry: OutboxEntry,
        earlier: Option<Duration>,
        first_delay: Duration,
        now: Instant,
    ) -> Self {
        Self {
            entry,
            is_in_flight: false,
            tries: 0,
            backoff: Backoff::new(first_delay, MAX_QUICK_DELAY, Jitter::AddQuarter),
            since: now,
            earlier,
            tried_since: None,
            server_error_since: None,
            foreign_since: None,
            is_kept: false,
        }
    }

    fn is_too_old(&self, settings: &OutboxSettings, now: Instant) -> bool {
        let here = now.duration_since(self.since);
        let Some(earlier) = self.earlier else { return here >= settings.max_age };
        let tried = self.tried_since.map_or(Duration::ZERO, |since| now.duration_since(since));
        tried >= MIN_TRIED && earlier.saturating_add(here) >= settings.max_age
    }

    /// Returns the verdict after a reply, which was read as this answer. `silence` returns the time for which the rate gate
    /// is closed.
    pub(super) fn judge(
        &mut self,
        reply: &Reply,
        answer: Option<&Answer<'_>>,
        silence: impl FnOnce() -> Duration,
        settings: &OutboxSettings,
        rng: &mut Rng,
        now: Instant,
    ) -> Verdict {
        self.tries += 1;
        self.tried_since.get_or_insert(now);
        let foreign_since = self.foreign_since.take();
        let response = match reply {
            Reply::Answer(response) => response,
            Reply::NoAnswer { error, recognises_repeats } => {
                if error.is_ambiguous() && !recognises_repeats && !settings.resend_ambiguous {
                    if error.status().is_some() {
                        // It is 2xx. Only the rest of the answer is missing.
                        return Verdict::Acknowledged;
                    }
                    return Verdict::Rejected(
                        "the orchestrator may have received it, and could not recognise a repeat".into(),
                    );
                }
                self.server_error_since = None;
                return self.retry(settings, rng, now);
            }
            Reply::Unsendable(problem) => return self.replace(problem.clone()),
            Reply::Unknown => return self.retry(settings, rng, now),
        };
        match answer {
            Some(Answer::Good) => {
                let answer = ResultAnswer::read(&response.body);
                let reason = || masked(answer.reason.as_deref().unwrap_or("no reason given")).into_owned();
                if answer.is_ignored() { Verdict::Ignored(reason()) } else { Verdict::Acknowledged }
            }
            Some(Answer::Unknown(_) | Answer::Invalid(_)) => self.refused(response),
            Some(Answer::Foreign(_)) if !response.is_success() => {
                self.server_error_since = None;
                let since = *self.foreign_since.insert(foreign_since.unwrap_or(now));
                if now.duration_since(since) >= FOREIGN_PATIENCE {
                    return self.refused(response);
                }
                self.retry(settings, rng, now)
            }
            Some(Answer::Unauthorized(_)) => {
                self.tries -= 1;
                Verdict::Unauthorized(after_refused_credentials(rng))
            }
            Some(Answer::TooMany(_)) if self.is_too_old(settings, now) => {
                Verdict::Rejected(TOO_OLD.to_owned())
            }
            Some(Answer::TooMany(_)) => {
                self.tries -= 1;
                Verdict::Silence(silence())
            }
            Some(Answer::Foreign(_) | Answer::Bad(_) | Answer::Failed(_) | Answer::Nothing(_)) | None => {
                let given_up = self.on_server_error(response, settings, now);
                given_up.unwrap_or_else(|| self.retry(settings, rng, now))
            }
        }
    }

    fn refused(&self, response: &Response) -> Verdict {
        self.replace(format!("result refused: {}, {} bytes", response.status, self.entry.body.len()))
    }

    fn replace(&self, problem: String) -> Verdict {
        if self.entry.is_replacement { Verdict::Rejected(problem) } else { Verdict::Replace(problem) }
    }

    /// Returns a verdict if the result is given up. An error that the orchestrator itself names is taken for permanent,
    /// an error of a proxy for temporary.
    fn on_server_error(
        &mut self,
        response: &Response,
        settings: &OutboxSettings,
        now: Instant,
    ) -> Option<Verdict> {
        if !(500..600).contains(&response.status) {
            self.server_error_since = None;
            return None;
        }
        let named = serde_json::from_slice::<serde_json::Value>(&response.body)
            .ok()
            .and_then(|body| body.get("error")?.as_str().map(str::to_owned));
        let Some(error) = named else {
            self.server_error_since = None;
            return None;
        };
        if error.starts_with(NOBODY_IDLE) {
            // The orchestrator counts such a failure: each further try would cost the job another of its few attempts.
            self.tries = self.tries.max(settings.quick_tries);
        }
        let since = *self.server_error_since.get_or_insert(now);
        let is_unknown_job = error == "Job not found" && self.has_no_quick_try_left(settings);
        (is_unknown_job || now.duration_since(since) >= SERVER_ERROR_PATIENCE)
            .then(|| Verdict::Rejected(format!("{}: {}", response.status, masked(&error))))
    }

    fn has_no_quick_try_left(&self, settings: &OutboxSettings) -> bool {
        self.tries >= settings.quick_tries.max(1)
    }

    fn retry(&mut self, settings: &OutboxSettings, rng: &mut Rng, now: Instant) -> Verdict {
        if self.is_too_old(settings, now) {
            return Verdict::Rejected(TOO_OLD.to_owned());
        }
        if !self.has_no_quick_try_left(settings) {
            return Verdict::Later { delay: self.backoff.next(rng), newly_kept: false };
        }
        // The wait may be long: the directory of the task is not kept for it.
        self.entry.belongings = None;
        let newly_kept = !std::mem::replace(&mut self.is_kept, true);
        Verdict::Later { delay: add_quarter(KEPT_INTERVAL, rng), newly_kept }
    }
}
