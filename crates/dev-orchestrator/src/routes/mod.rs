//! The routes: each reads its request, calls the [`Hub`], and answers.

mod api;
mod body;
mod door;
mod faults;
mod guard;
mod messages;
mod poll;
mod socket;
mod wire;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, patch, post};
use tokio_util::task::TaskTracker;

use crate::auth::Auth;
use crate::hub::Hub;
use crate::refusal::Refusal;

/// The state of the routes.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) hub: Arc<Hub>,
    auth: Auth,
    /// The address the orchestrator listens on.
    address: SocketAddr,
    /// Owns the tasks of websockets.
    tasks: TaskTracker,
}

pub(crate) fn router(hub: Arc<Hub>, address: SocketAddr, tasks: TaskTracker) -> Router {
    let auth = Auth::new(hub.settings.token.clone());
    let desk = Arc::new(Desk { hub: hub.clone(), auth, address, tasks });
    let worker = Router::new()
        .route("/_worker/workers/register", post(worker::register))
        .route("/_worker/workers/{worker_id}", patch(worker::heartbeat))
        .route("/_worker/workers/{worker_id}/tasks/next", get(poll::next))
        .route("/_worker/tasks/result", post(worker::result))
        .route("/_worker/events", post(worker::event))
        .route("/_worker/ws/{worker_id}", get(socket::open))
        .layer(map_response(with_version));
    let api = Router::new()
        .route("/api/tasks", get(api::tasks).post(api::submit))
        .route("/api/tasks/{id}", get(api::task))
        .route("/api/tasks/{id}/cancel", post(api::cancel))
        .route("/api/workers", get(api::workers))
        .route("/api/health", get(api::health))
        .route("/api/wire", get(wire::exchanges))
        .route("/api/faults", get(faults::list).put(faults::switch))
        .layer(from_fn_with_state(desk.clone(), door::only_json_posts));
    worker
        .merge(api)
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(desk.clone(), door::only_own_names))
        .layer(from_fn_with_state(hub, guard::watch))
        .with_state(desk)
}

async fn with_version(mut response: Response) -> Response {
    const NAME: HeaderName = HeaderName::from_static("x-rxon-version");
    response.headers_mut().insert(NAME, HeaderValue::from_static(rxon::VERSION));
    response
}

async fn unknown_route(method: Method, uri: Uri) -> Refusal {
    let path = crate::text::cut(uri.path(), 200);
    Refusal::new(
        StatusCode::NOT_FOUND,
        format!(
            "there is no route `{method} {path}`: workers use `/_worker/...`, people use `/api/tasks`, `/api/workers`, `/api/health`"
        ),
    )
}

async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    let path = crate::text::cut(uri.path(), 200);
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("`{path}` does not support the method `{method}`"))
}
