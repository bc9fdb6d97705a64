//! Registrations.

use std::time::Duration;

use fastrand::Rng;
use rxon::limit::within;
use rxon::model::{Generation, RegistrationAnswer};
use rxon::text::excerpt;
use rxon::transport::{Operation, Request};
use tokio::time::Instant;

use super::{Driver, RegistrationAnswered, TIME_LIMIT};
use crate::peer::answer::{Answer, Exchange};
use crate::peer::rate::after_refused_credentials;
use crate::session::ConversationParts;

/// The time that a registration under way has left when the worker stops.
const LAST_REGISTRATION_LIMIT: Duration = Duration::from_secs(1);

impl Driver {
    /// Sends a registration. Does not wait for the answer: heartbeats go on, if the orchestrator knows the worker.
    pub(super) async fn register(&mut self) {
        let ConversationParts { session, profile, offer, registration_trigger, .. } = self.parts.clone();
        let peer = &session.origin.peer;
        offer.refresh().await;
        // The first measurement: the registration names the memory, and the load is an average from now on.
        profile.usage.machine.usage().await;
        // It names all tasks that were added until now.
        registration_trigger.reported(session.origin.orchestrator);
        let message = profile.registration(&offer);
        let body = match peer.seal.message(&message, &[], Generation::Older) {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(orchestrator = %peer.name, %error, "the registration cannot be written");
                return self.state.on_not_registered(None, Instant::now());
            }
        };
        self.capabilities = Some(message.capabilities);
        let request = Request::new(Operation::Register, TIME_LIMIT).with_body(body);
        let mut transport = self.transport();
        self.registration = Some(Box::pin(async move {
            let response = transport.exchange(request).await;
            (transport, response)
        }));
    }

    /// Ends a registration under way, since the worker stops. It has 1 s left: an orchestrator that accepts it in that time
    /// gets the goodbye, so that it dispatches nothing to a worker that has ended.
    pub(super) async fn end_registration(&mut self) {
        let Some(registration) = self.registration.take() else { return };
        match within(LAST_REGISTRATION_LIMIT, registration).await {
            Ok(answered) => self.on_registration_answered(answered),
            Err(_) => self.state.on_not_registered(None, Instant::now()),
        }
    }

    /// Handles the answer to a registration, or the lack of one.
    pub(super) fn on_registration_answered(&mut self, (transport, response): RegistrationAnswered) {
        self.idle.get_or_insert(transport);
        let session = self.parts.session.clone();
        let answer = response.as_ref().map_or_else(Answer::Nothing, Answer::of_consent);
        let (answer, accepted) = match (answer, &response) {
            (Answer::Good, Ok(response)) => match serde_json::from_slice(&response.body) {
                Ok(accepted) => (Answer::Good, Some(accepted)),
                Err(_) => (Answer::unreadable(response), None),
            },
            (answer, _) => (answer, None),
        };
        let line = session.record(Exchange::Registration, &answer);
        let now = Instant::now();
        if let (Answer::Good, Some(accepted)) = (&answer, &accepted) {
            self.on_registered(accepted);
            // An answer to an earlier heartbeat says nothing of the new registration.
            self.forget_unanswered();
            self.state.on_registered(accepted.generation(), *self.role.borrow_and_update(), now);
            return;
        }
        let delay = match answer {
            Answer::Unauthorized(_) => Some(after_refused_credentials(&mut Rng::new())),
            Answer::TooMany(_) => Some(session.origin.peer.gate(Exchange::Registration).silence(now)),
            _ => None,
        };
        self.state.on_not_registered(delay, now);
        line.again_at(Some(self.state.attempt_at()));
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
