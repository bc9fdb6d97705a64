//! Whether the server runs, and what a worker needs to find it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::super::Desk;
use crate::host::is_for_loopback;
use crate::peer::Peer;
use crate::{connections, refusal};

/// The token where any is accepted.
const ANY_TOKEN: &str = "any";

#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    version: &'static str,
    /// The variables of a worker on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<BTreeMap<&'static str, &'a str>>,
}

/// `GET /api/health`
///
/// The environment has the token and the keys of the storage. It is only for programs on this machine that call it by a
/// name of this machine: they can submit tasks and read all files as well. A proxy that passes on the requests of others
/// has another name.
pub(super) async fn health(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let peer = request.extensions().get::<Peer>();
    let is_here = peer.is_some_and(Peer::is_on_this_machine)
        && is_for_loopback(request.uri(), request.headers())
        && desk.names.check_site(request.headers()).is_ok();
    let url = connections::url(desk.address);
    let environment = is_here.then(|| {
        let token = desk.hub.settings.token.as_deref().unwrap_or(ANY_TOKEN);
        let own = [("ORCHESTRATOR_URL", url.as_str()), ("WORKER_TOKEN", token)];
        own.into_iter().chain(desk.storage.iter().map(|(name, value)| (*name, value.as_str()))).collect()
    });
    refusal::json(StatusCode::OK, &Health { status: "ok", version: rxon::VERSION, environment })
}
