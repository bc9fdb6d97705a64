//! Registrations.

use std::time::Duration;

use fastrand::Rng;
use rxon::model::{Generation, RegistrationAnswer};
use rxon::text::excerpt;
use rxon::transport::{Operation, Request};
use tokio::time::Instant;

use super::{Driver, TIME_LIMIT};
use crate::peer::answer::{Answer, Exchange};
use crate::peer::log::FailureLine;
use crate::peer::rate::after_refused_credentials;
use crate::session::ConversationParts;

/// The time that a registration under way has left when the worker stops.
const LAST_REGISTRATION_LIMIT: Duration = Duration::from_secs(1);

impl Driver {
    /// Tries to register once. If the worker stops meanwhile, the attempt has 1 s left. An orchestrator that accepts it in
    /// that time gets the goodbye, so that it dispatches nothing to a worker that has ended.
    pub(super) async fn register(&mut self) {
        let stop = self.parts.ends.stop_asking.clone();
        let given_up = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_REGISTRATION_LIMIT).await;
        };
        let attempt = tokio::select! {
            biased;
            attempt = self.try_register() => attempt,
            () = given_up => return self.state.on_stop(),
        };
        let now = Instant::now();
        match attempt {
            Ok(generation) => {
                // An answer to an earlier heartbeat says nothing of the new registration.
                self.forget_unanswered();
                self.state.on_registered(generation, *self.role.borrow_and_update(), now);
            }
            Err((delay, line)) => {
                self.state.on_not_registered(delay, now);
                line.again_at(Some(self.state.attempt_at()));
            }
        }
        if self.parts.ends.stop_asking.is_cancelled() {
            self.state.on_stop();
        }
    }

    /// Sends a registration. The error is the delay before the next attempt, if the reason determines it, and the line
    /// about it.
    async fn try_register(&mut self) -> Result<Generation, (Option<Duration>, FailureLine)> {
        let ConversationParts { session, profile, offer, registration_trigger, .. } = self.parts.clone();
        let peer = &session.origin.peer;
        offer.refresh().await;
        // The first measurement: the registration names the memory, and the load is an average from now on.
        profile.usage.machine.usage().await;
        // It names all tasks that were added until now.
        registration_trigger.reported(session.origin.orchestrator);
        let message = profile.registration(&offer);
        let body = peer.seal.message(&message, &[], Generation::Older).map_err(|error| {
            tracing::error!(orchestrator = %peer.name, %error, "the registration cannot be written");
            (None, FailureLine::default())
        })?;
        self.capabilities = Some(message.capabilities);
        let request = Request::new(Operation::Register, TIME_LIMIT).with_body(body);
        let mut transport = self.transport();
        let response = transport.exchange(request).await;
        self.idle = Some(transport);
        let answer = response.as_ref().map_or_else(Answer::Nothing, Answer::of_consent);
        let (answer, accepted) = match (answer, &response) {
            (Answer::Good, Ok(response)) => match serde_json::from_slice(&response.body) {
                Ok(accepted) => (Answer::Good, Some(accepted)),
                Err(_) => (Answer::unreadable(response), None),
            },
            (answer, _) => (answer, None),
        };
        let line = session.record(Exchange::Registration, &answer);
        match (answer, accepted) {
            (Answer::Good, Some(accepted)) => {
                self.on_registered(&accepted);
                Ok(accepted.generation())
            }
            (Answer::Unauthorized(_), _) => Err((Some(after_refused_credentials(&mut Rng::new())), line)),
            (Answer::TooMany(_), _) => {
                Err((Some(peer.gate(Exchange::Registration).silence(Instant::now())), line))
            }
            _ => Err((None, line)),
        }
    }

    fn on_registered(&self, answer: &RegistrationAnswer) {
        let ConversationParts { session, profile, .. } = &self.parts;
        let peer = &session.origin.peer;
        // 1.0b2 sends no version.
        let version = answer.version.as_deref().map(excerpt);
        tracing::info!(orchestrator = %peer.name, version, worker_id = %profile.worker_id, "registered");
        if let Some(warning) = &answer.warning {
            let warning = excerpt(warning);
            tracing::warn!(orchestrator = %peer.name, "the orchestrator says: {warning}");
        }
        let again = peer.was_registered();
        peer.set_registered(answer.generation());
        if session.fleet.on_registered(session.origin.orchestrator) || again {
            session.origin.delivery.offer_all(false);
        }
    }
}
