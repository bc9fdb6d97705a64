//! Answers to heartbeats.

use rxon::Error;
use rxon::model::{HeartbeatAnswer, Liveness};
use rxon::secrets::masked;
use rxon::transport::Response;
use tokio::time::Instant;

use super::{Answered, Driver, Sent};
use crate::peer::answer::{Answer, Contact, Exchange};
use crate::session::ConversationParts;
use crate::session::fleet::Role;
use crate::session::state::Beat;

impl Driver {
    pub(super) async fn on_answered(&mut self, (sent, transport, response): Answered) {
        self.idle.get_or_insert(transport);
        let (is_probe, follows_probe) = (sent.is_probe, sent.follows_probe);
        let beat = match self.on_response(sent, response) {
            Ok(Beat::Acknowledged) if is_probe => return self.beat_with_state(true).await,
            Ok(Beat::Forgotten) if !is_probe && self.may_be_a_collision() => {
                if !follows_probe {
                    let (request, sent) = self.probe();
                    return self.begin(request, sent);
                }
                // It was not told, but the next heartbeat will tell it.
                Beat::Refused
            }
            beat => beat.unwrap_or_else(|error| self.on_no_answer(&error)),
        };
        if beat == Beat::Forgotten && self.state.is_known() && !self.parts.ends.stop_asking.is_cancelled() {
            let session = &self.parts.session;
            let peer = &session.origin.peer;
            if *session.member().role.borrow() == Role::Active {
                // A restart does this to orchestrators that keep everything in memory.
                tracing::info!(orchestrator = %peer.name, "the orchestrator has forgotten this worker: registering again");
            }
            peer.set_unregistered();
        }
        self.state.on_beat(beat, Instant::now());
    }

    /// Whether an answer as to a stranger may mean something else: the older generation on Redis gives it also when two
    /// heartbeats collide, and takes in only one of them. It is asked whether it knows the worker, and then told again.
    pub(super) fn may_be_a_collision(&self) -> bool {
        !self.parts.session.origin.peer.generation().needs_probes()
    }

    /// Handles the answer to a heartbeat.
    pub(super) fn on_response(
        &mut self,
        sent: Sent,
        response: Result<Response, Error>,
    ) -> Result<Beat, Error> {
        let beat = response.map(|response| self.on_answer(&response));
        tracing::debug!(
            orchestrator = %self.parts.session.origin.peer.name, idle = sent.idle, probe = sent.is_probe, answer = ?beat,
            seconds = sent.at.elapsed().as_secs_f64(), "heartbeat"
        );
        match (&beat, sent.usage) {
            (Ok(Beat::Acknowledged), Some(usage)) => self.deadband.accepted(usage, Instant::now()),
            (Ok(Beat::Acknowledged), None) => {}
            _ => self.deadband.forget(),
        }
        beat
    }

    pub(super) fn on_no_answer(&mut self, error: &Error) -> Beat {
        let line = self.parts.session.record(Exchange::Heartbeat, &Answer::Nothing(error));
        line.again_at(Some(self.state.next_heartbeat()));
        // An orchestrator that hung up can be reached.
        match Contact::of_error(error, Exchange::Heartbeat) {
            Contact::Gone => Beat::Unreachable,
            Contact::Well | Contact::Failed => Beat::Refused,
        }
    }

    fn on_answer(&mut self, response: &Response) -> Beat {
        let (answer, fields) = match Answer::of_consent(response) {
            Answer::Good => match Liveness::read(&response.body) {
                Liveness::Known(fields) => (Answer::Good, Some(fields)),
                Liveness::Forgotten => (Answer::Unknown(response), None),
                Liveness::Unreadable => (Answer::unreadable(response), None),
            },
            answer => (answer, None),
        };
        let line = self.parts.session.record(Exchange::Heartbeat, &answer);
        line.again_at(Some(self.state.next_heartbeat()));
        match (answer, fields) {
            (Answer::Good, Some(fields)) => {
                self.obey(&fields);
                Beat::Acknowledged
            }
            (Answer::Unknown(_), _) => Beat::Forgotten,
            (Answer::TooMany(_), _) => Beat::TooMany,
            _ => Beat::Refused,
        }
    }

    fn obey(&mut self, answer: &HeartbeatAnswer) {
        let ConversationParts { session, profile, running, heartbeat_trigger, .. } = &self.parts;
        let (orchestrator, index) = (&session.origin.peer.name, session.origin.orchestrator);
        let foreign = self.namesake.on_answer(&answer.current_tasks, |id| running.knows(index, id));
        if let Some(task_id) = foreign {
            let task_id = &*masked(task_id);
            tracing::warn!(
                %orchestrator, worker_id = %profile.worker_id, task_id,
                "the orchestrator says that this worker runs tasks that it does not run: two live workers seem to \
                 share one `WORKER_ID`; give each its own"
            );
        }
        if self.namesake.on_instance(answer.instance.as_deref(), &profile.instance) {
            tracing::warn!(
                %orchestrator, worker_id = %profile.worker_id,
                "another process has registered under this worker's id: two live workers seem to share one `WORKER_ID`; \
                 give each its own"
            );
        }
        if answer.require_full_sync {
            self.wants_skills = true;
            heartbeat_trigger.on_change();
        }
        for id in &answer.cancel_task_ids {
            let known = running.cancel(index, id);
            tracing::info!(%orchestrator, id = &*masked(id), known, "told to cancel");
        }
    }
}
