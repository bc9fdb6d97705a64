//! The way of every request of a worker: it is recorded, and faults may hit it before and after its route.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::Body as _;

use super::Desk;
use super::body::{self, Arrived, Received};
use crate::faults::{CutBody, Fault, Faults, Instead, Lookout, Spoiled};
use crate::hub::Hub;
use crate::peer::{Peer, Reset};
use crate::wire::{Handed, Recording, Visit, has_body};

/// Records the exchanges with workers, and lets faults hit them. All other requests pass. Those without the token, which
/// a web page of another site can send, too, are recorded without their bodies, and meet no fault.
pub(super) async fn watch(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let hub = desk.hub.clone();
    let (mut head, mut body) = request.into_parts();
    let Some(visit) = Visit::of(&head) else {
        return next.run(Request::from_parts(head, body)).await;
    };
    let guard = Guard { peer: head.extensions.get::<Peer>().cloned(), hub: hub.clone() };
    let mut recording = Recording::new(hub.clone(), visit, &head);
    // Taken before the first decision, so that no fault is switched on unseen.
    let lookout = recording.visit().is_held().then(|| hub.faults.lookout());
    if let Some(lookout) = &lookout {
        // A websocket goes on after its handshake.
        head.extensions.insert(lookout.clone());
    }
    if desk.auth.token(&head.headers).is_err() {
        let response = next.run(Request::from_parts(head, body)).await;
        return recording.answer(response);
    }
    if has_body(&head.method) {
        let mut arrived = Arrived::default();
        let received = body::read_watched(body, &hub, &mut arrived).await;
        match &received {
            Ok(body) => recording.on_request_body(body, body.len()),
            // Whoever looks for the reason of a refusal finds what was refused.
            Err(_) => recording.on_request_body(&arrived.beginning, arrived.length),
        }
        drop(arrived);
        head.extensions.insert(Received(received));
        body = Body::empty();
    }
    let request = Request::from_parts(head, body);
    let response = guard.pass(&mut recording, lookout, request, next).await;
    recording.answer(response)
}

struct Guard {
    hub: Arc<Hub>,
    /// The connection; there is none in tests without one.
    peer: Option<Peer>,
}

impl Guard {
    async fn pass(
        &self,
        recording: &mut Recording,
        lookout: Option<Lookout>,
        request: Request,
        next: Next,
    ) -> Response {
        let faults = &self.hub.faults;
        if faults.is_active() {
            faults.on_request(recording.visit());
            if let Some(instead) = faults.instead_of(recording.visit()) {
                return self.replace(recording, instead).await;
            }
            if faults.forgets(recording.visit()) {
                recording.on_fault(Fault::Forget, false);
                self.forget(recording.visit());
            }
        }
        let answer = next.run(request);
        let response = match lookout {
            None => answer.await,
            Some(mut lookout) => {
                let worker = recording.visit().worker();
                let interrupted = tokio::select! {
                    biased;
                    instead = faults.interruption(&mut lookout, worker) => Err(instead),
                    response = answer => Ok(response),
                };
                match interrupted {
                    Ok(response) => response,
                    Err(instead) => return self.replace(recording, instead).await,
                }
            }
        };
        if faults.is_active() { self.spoil(recording, response).await } else { response }
    }

    /// Gives a request the fate that a fault has for it.
    async fn replace(&self, recording: &mut Recording, instead: Instead) -> Response {
        match instead {
            Instead::Answer(fault, response) => {
                recording.on_fault(fault, true);
                response
            }
            Instead::Reset(fault) => {
                recording.on_fault(fault, true);
                self.reset()
            }
            Instead::Silence(fault) => {
                recording.on_fault(fault, true);
                let over = self.hub.faults.until_off(fault, recording.visit().worker());
                self.hub.stop.run_until_cancelled(over).await;
                close()
            }
        }
    }

    /// Gives an answer the fate that faults have for it.
    async fn spoil(&self, recording: &mut Recording, response: Response) -> Response {
        let faults = &self.hub.faults;
        if let Some(handed) = response.extensions().get::<Handed>() {
            recording.on_handed(handed);
        }
        if let Some(delay) = faults.delay(recording.visit()) {
            recording.on_fault(Fault::Slow, false);
            if self.hub.stop.run_until_cancelled(tokio::time::sleep(delay)).await.is_none() {
                return close();
            }
        }
        let has_body = !response.body().is_end_stream();
        let Some((fault, spoiled)) = faults.spoils(recording.visit(), response.status(), has_body) else {
            return response;
        };
        recording.on_fault(fault, true);
        match spoiled {
            Spoiled::Lost => self.reset(),
            Spoiled::Garbage => Faults::garbage(),
            Spoiled::Cut => self.cut(response),
        }
    }

    fn cut(&self, response: Response) -> Response {
        let announced = response.extensions().get::<Handed>().map(|handed| handed.length);
        let Some(length) = response.body().size_hint().exact().or(announced) else { return self.reset() };
        if let Some(peer) = &self.peer {
            peer.reset_on_close();
        }
        response.map(|body| Body::new(CutBody::new(body, length)))
    }

    /// Ends the connection with a reset.
    fn reset(&self) -> Response {
        if let Some(peer) = &self.peer {
            peer.reset_on_close();
        }
        close()
    }

    fn forget(&self, visit: &Visit) {
        if let Some(worker) = visit.worker().and_then(rxon::WorkerId::received) {
            self.hub.update(|jobs, now| jobs.forget(&worker, now));
        }
    }
}

/// Ends the connection without an answer.
fn close() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.extensions_mut().insert(Reset);
    response
}
