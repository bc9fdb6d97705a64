//! The websocket, which carries commands from the orchestrator, and progress and events to it. It is opened after the
//! registration, and again whenever it ends.

use std::time::Duration;

use fastrand::Rng;
use rxon::Error;
use rxon::backoff::{Backoff, Jitter};
use rxon::limit::elapsed;
use rxon::model::Command;
use rxon::secrets::masked;
use rxon::text::excerpt;
use rxon::transport::{Channel, Opened, Received};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use crate::peer::Frame;
use crate::peer::answer::{Answer, Exchange};
use crate::peer::rate::after_refused_credentials;
use crate::peer::repeated::Repeated;
use crate::session::ConversationParts;

/// The time without a message after which a sign of life is asked for.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// The time limit of the sign of life.
const LIFE_LIMIT: Duration = Duration::from_secs(10);

/// The age at which a websocket counts as well.
const STABLE: Duration = Duration::from_secs(5);

/// The longest delay before the websocket is opened again. If it was open for this long, the delays begin anew.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// The number of frames that may wait to be written.
const MAX_FRAMES: usize = 16;

/// The number of messages that are not commands after which the websocket is closed.
const MAX_RUBBISH: usize = 100;

/// The number of times the websocket must be closed with 1008 before another worker with the same id is suspected.
const REPLACED: usize = 3;

/// The code with which a websocket is closed when another connection of the same worker takes its place.
const POLICY: u16 = 1008;

/// Keeps a websocket to one orchestrator.
pub(super) struct Websocket {
    parts: ConversationParts,
    rng: Rng,
    /// The number of times it was closed because another connection took its place.
    replaced: usize,
    /// Set once it was logged that the websocket is open.
    was_open: bool,
    /// Messages that were not commands, over all websockets so far.
    not_understood: Repeated,
}

impl Websocket {
    pub(super) fn new(parts: ConversationParts) -> Self {
        Self { parts, rng: Rng::new(), replaced: 0, was_open: false, not_understood: Repeated::default() }
    }

    /// Keeps the websocket open for as long as the future is polled.
    pub(super) async fn keep_open(mut self) {
        if !self.parts.profile.advertised.websockets {
            return std::future::pending().await;
        }
        let mut backoff = Backoff::new(Duration::from_secs(1), MAX_DELAY, Jitter::Full);
        let peer = self.parts.session.origin.peer.clone();
        loop {
            if !peer.is_registered() {
                peer.until_registered().await;
                backoff.reset();
            }
            let delay = tokio::select! {
                biased;
                // An orchestrator that forgot the worker forgot its websocket too.
                () = peer.until_unregistered() => Duration::ZERO,
                delay = self.open_once(&mut backoff) => delay,
            };
            self.set_open(None);
            sleep(delay).await;
        }
    }

    /// Opens the websocket and serves it to its end. Returns the delay before the next one.
    async fn open_once(&mut self, backoff: &mut Backoff) -> Duration {
        let peer = self.parts.session.origin.peer.clone();
        let mut channel = match peer.connector.channel().await {
            Ok(Opened::Channel(channel)) => channel,
            Ok(Opened::Refused(response)) => return self.on_refused(&Answer::of_refusal(&response), backoff),
            Err(error) => return self.on_refused(&Answer::Nothing(&error), backoff),
        };
        let began = Instant::now();
        let (sender, mut frames) = mpsc::channel(MAX_FRAMES);
        let orchestrator = &peer.name;
        if std::mem::replace(&mut self.was_open, true) {
            tracing::debug!(%orchestrator, "the websocket is open again");
        } else {
            tracing::info!(%orchestrator, "the websocket is open: commands come over it");
        }
        self.set_open(Some(sender));
        let reason = self.serve(&mut *channel, &mut frames).await;
        let reason = reason.unwrap_or_else(|error| error.chain().to_string());
        self.parts.session.record(Exchange::Websocket, &Answer::Failed(reason));
        if began.elapsed() >= MAX_DELAY {
            backoff.reset();
        }
        backoff.next(&mut self.rng)
    }

    /// Records that no websocket was opened. Returns the delay before the next attempt.
    fn on_refused(&mut self, answer: &Answer<'_>, backoff: &mut Backoff) -> Duration {
        let session = &self.parts.session;
        session.record(Exchange::Websocket, answer);
        if let Answer::TooMany(_) = answer {
            return session.origin.peer.gate(Exchange::Websocket).silence(Instant::now());
        }
        let delay = backoff.next(&mut self.rng);
        match answer {
            Answer::Unauthorized(_) => delay.max(after_refused_credentials(&mut self.rng)),
            _ => delay,
        }
    }

    /// Publishes whether the websocket is open. A change triggers a heartbeat, which tells the orchestrator.
    fn set_open(&self, frames: Option<mpsc::Sender<Frame>>) {
        let open = frames.is_some();
        if self.parts.session.origin.peer.set_websocket(frames) != open {
            self.parts.heartbeat_trigger.on_change();
        }
    }

    /// Serves an open websocket. Returns the reason for its end.
    async fn serve(
        &mut self,
        channel: &mut dyn Channel,
        frames: &mut mpsc::Receiver<Frame>,
    ) -> Result<String, Error> {
        let stable = Instant::now() + STABLE;
        let (mut has_received, mut is_stable, mut rubbish) = (false, false, 0);
        channel.ping().await?;
        let (mut is_pinged, mut silence) = (true, std::pin::pin!(elapsed(LIFE_LIMIT)));
        loop {
            tokio::select! {
                biased;
                () = sleep_until(stable), if has_received && !is_stable => {
                    is_stable = true;
                    self.parts.session.record(Exchange::Websocket, &Answer::Good);
                }
                Some(frame) = frames.recv() => {
                    channel.send(frame.text).await?;
                    // The sender may have stopped waiting.
                    let _ = frame.written.send(());
                }
                received = channel.receive() => {
                    has_received = true;
                    is_pinged = false;
                    silence.set(elapsed(PING_INTERVAL));
                    let problem = match received? {
                        Received::Closed { code, reason } => return Ok(self.on_closed(code, &reason)),
                        Received::Text(text) => self.obey(&text).err(),
                        Received::Binary(length) => Some(format!("{length} bytes that are not text")),
                        _ => None,
                    };
                    if let Some(problem) = problem {
                        rubbish += 1;
                        let (count, is_worth_a_line) = self.not_understood.again();
                        if is_worth_a_line {
                            tracing::warn!(
                                orchestrator = %self.parts.session.origin.peer.name, count,
                                "a message over the websocket is not a command and is ignored: {problem}"
                            );
                        }
                        if rubbish >= MAX_RUBBISH {
                            return Ok(format!("{rubbish} messages over the websocket were not commands"));
                        }
                    }
                }
                // Last: what was received while the process did not run is a sign of life.
                () = &mut silence => {
                    if is_pinged {
                        return Ok(format!("the websocket gave no sign of life for {LIFE_LIMIT:?}"));
                    }
                    channel.ping().await?;
                    is_pinged = true;
                    silence.set(elapsed(LIFE_LIMIT));
                }
            }
        }
    }

    fn obey(&self, text: &[u8]) -> Result<(), String> {
        let command: Command = serde_json::from_slice(text)
            .map_err(|error| format!("{}: `{}`", masked(&error.to_string()), excerpt(text)))?;
        let orchestrator = &self.parts.session.origin.peer.name;
        if command.command != "cancel_task" {
            self.parts.commands.hand_over(command, orchestrator);
            return Ok(());
        }
        // The job counts only where no task is named: its other tasks are not meant.
        let task = command.task_id.as_ref().map(rxon::TaskId::as_str);
        let Some(id) = task.or(command.job_id.as_ref().map(rxon::JobId::as_str)) else {
            return Err("`cancel_task` without an id".to_owned());
        };
        let known = self.parts.running.cancel(self.parts.session.origin.orchestrator, id);
        tracing::info!(%orchestrator, id = &*masked(id), known, "told to cancel");
        Ok(())
    }

    fn on_closed(&mut self, code: Option<u16>, reason: &str) -> String {
        if code == Some(POLICY) {
            self.replaced += 1;
            if self.replaced == REPLACED {
                tracing::warn!(
                    orchestrator = %self.parts.session.origin.peer.name, worker_id = %self.parts.profile.worker_id,
                    "the websocket was closed {REPLACED} times because another took its place: two live workers \
                     seem to share one `WORKER_ID`; give each its own"
                );
            }
        }
        let code = code.map_or_else(String::new, |code| format!(" ({code})"));
        let colon = if reason.is_empty() { "" } else { ": " };
        format!("the websocket was closed by the orchestrator{code}{colon}{reason}")
    }
}
