//! The goodbye.

use std::time::Duration;

use rxon::limit::within;
use rxon::transport::Request;
use rxon::{Error, ErrorKind};
use tokio::time::Instant;

use super::{Driver, Sent};
use crate::session::state::Beat;

/// The time limit of the goodbye, connecting included. An orchestrator that takes longer counts as unreachable.
const GOODBYE_TIME_LIMIT: Duration = Duration::from_secs(3);

/// The time that each address of a cluster has: if the first hangs, another is told.
const ADDRESS_TIME_LIMIT: Duration = Duration::from_secs(1);

impl Driver {
    /// Tells the orchestrator that the worker takes nothing more. It is not probed first: that would delay the news.
    pub(super) async fn say_goodbye(&mut self) {
        self.parts.heartbeat_trigger.reported(self.parts.session.origin.orchestrator);
        self.forget_unanswered();
        let goodbye = async {
            match self.tell().await {
                // The orchestrator had just closed an idle connection: it is there, and still believes us idle.
                Err(error) if error.is_stale_connection() => self.tell().await,
                beat => beat,
            }
        };
        let (beat, has_timed_out) = match within(GOODBYE_TIME_LIMIT, Box::pin(goodbye)).await {
            Ok(Ok(beat)) => (beat, false),
            Ok(Err(error)) => (self.on_no_answer(&error), error.kind() == ErrorKind::Timeout),
            Err(_) => (Beat::Unreachable, true),
        };
        // Another instance of a cluster may still believe us idle.
        let beat = if has_timed_out && self.is_cluster() { Beat::Refused } else { beat };
        self.state.on_goodbye(beat, self.parts.ends.await_polls.is_cancelled(), Instant::now());
        if self.state.abandon_polls_at().is_none() {
            self.parts.ends.await_polls.cancel();
        }
        self.parts.session.origin.peer.goodbye.cancel();
    }

    /// Sends the state of the worker, and waits for the answer.
    async fn tell(&mut self) -> Result<Beat, Error> {
        let Some((request, sent)) = self.message().await else { return Ok(Beat::Refused) };
        let beat = self.exchange(request, sent).await?;
        if beat != Beat::Forgotten || !self.may_be_a_collision() {
            return Ok(beat);
        }
        let (request, sent) = self.probe();
        match self.exchange(request, sent).await? {
            Beat::Acknowledged => match self.message().await {
                Some((request, sent)) => match self.exchange(request, sent).await? {
                    Beat::Forgotten => Ok(Beat::Refused),
                    beat => Ok(beat),
                },
                None => Ok(Beat::Refused),
            },
            beat => Ok(beat),
        }
    }

    fn is_cluster(&self) -> bool {
        self.parts.session.origin.peer.lines.len() > 1
    }

    async fn exchange(&mut self, mut request: Request, sent: Sent) -> Result<Beat, Error> {
        self.state.on_sent(sent.at, sent.idle);
        if self.is_cluster() {
            request.time_limit = ADDRESS_TIME_LIMIT;
        }
        let mut transport = self.transport();
        let response = transport.exchange(request).await;
        self.idle = Some(transport);
        self.on_response(sent, response)
    }
}
