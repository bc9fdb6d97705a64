//! The routes: each reads its request, calls the [`Hub`], and answers.

mod api;
mod body;
mod description;
mod door;
mod etag;
mod events;
mod faults;
mod files;
mod guard;
mod kept;
mod logs;
mod messages;
mod openapi;
mod otlp;
mod page;
mod poll;
mod socket;
mod wire;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, patch, post};
use tokio_util::task::TaskTracker;

use crate::auth::Auth;
use crate::host::OwnNames;
use crate::hub::Hub;
use crate::imitate::{Imitation, Limits};
use crate::otlp::Telemetry;
use crate::refusal::Refusal;
use crate::s3::{Files, LocalS3};

/// The state of the routes.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) hub: Arc<Hub>,
    auth: Auth,
    limits: Limits,
    /// The address the orchestrator listens on.
    address: SocketAddr,
    /// The names under which people may call the orchestrator.
    names: OwnNames,
    /// The objects of the storage, if there is one.
    files: Option<Files>,
    /// The variables of a worker for the storage.
    storage: Vec<(&'static str, String)>,
    telemetry: Telemetry,
    /// Owns the tasks of websockets.
    tasks: TaskTracker,
}

impl Desk {
    /// The orchestrator that is imitated.
    fn imitation(&self) -> Option<Imitation> {
        self.hub.settings.imitation
    }
}

pub(crate) fn router(
    hub: Arc<Hub>,
    address: SocketAddr,
    tasks: TaskTracker,
    storage: Option<&LocalS3>,
) -> Router {
    let imitation = hub.settings.imitation;
    let auth = Auth::new(hub.settings.token.clone(), imitation, hub.tokens_suspended.clone());
    let limits = Limits::new(imitation);
    let names = OwnNames::new(address, hub.settings.allowed_hosts.clone());
    let files = storage.map(LocalS3::files);
    let storage = storage.into_iter().flat_map(LocalS3::variables).collect();
    let telemetry = Telemetry::default();
    let desk = Arc::new(Desk { hub, auth, limits, address, names, files, storage, telemetry, tasks });
    let worker = Router::new()
        .route("/_worker/workers/register", post(worker::register))
        .route("/_worker/workers/{worker_id}", patch(worker::heartbeat))
        .route("/_worker/workers/{worker_id}/tasks/next", get(poll::next))
        .route("/_worker/tasks/result", post(worker::result))
        .route("/_worker/events", post(worker::event))
        .route("/_worker/ws/{worker_id}", get(socket::open))
        .layer(map_response(move |response| async move { with_version(response, imitation) }));
    let api = api::routes()
        .route("/api/tasks/{id}/logs", get(logs::of_task))
        .route("/api/workers/{id}/logs", get(logs::of_worker))
        .route("/api/wire", get(wire::exchanges))
        .route("/api/faults", get(faults::list).put(faults::switch))
        .route("/api/events", get(events::open))
        .route("/api/files/{bucket}", get(files::list))
        .route("/api/files/{bucket}/{*key}", get(files::get).put(files::put))
        .route("/api/openapi.json", get(openapi::document))
        .layer(from_fn(door::only_json));
    let telemetry = Router::new()
        .route("/v1/logs", post(otlp::logs))
        .route("/v1/traces", post(otlp::traces))
        .layer(from_fn(door::only_telemetry));
    let page = page::ADDRESSES
        .into_iter()
        .fold(Router::new(), |page, address| page.route(address, get(page::index)))
        .route("/assets/{*path}", get(page::asset));
    let routes = worker
        .merge(api)
        .merge(telemetry)
        .merge(page)
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method);
    let routes = match desk.hub.keeper.clone() {
        Some(keeper) => routes.layer(from_fn_with_state(keeper, kept::before_answer)),
        None => routes,
    };
    routes
        .layer(from_fn_with_state(desk.clone(), door::only_own_names))
        .layer(map_response(without_guesses))
        .layer(from_fn_with_state(desk.clone(), guard::watch))
        .with_state(desk)
}

fn with_version(mut response: Response, imitation: Option<Imitation>) -> Response {
    const NAME: HeaderName = HeaderName::from_static("x-rxon-version");
    if imitation == Some(Imitation::Older) {
        return response;
    }
    response.headers_mut().insert(NAME, HeaderValue::from_static(rxon::VERSION));
    response
}

/// Tells browsers to treat every answer as what it says it is, and to keep it from pages of other sites.
async fn without_guesses(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
    response
}

async fn unknown_route(method: Method, uri: Uri) -> Refusal {
    let path = crate::text::cut(uri.path(), 200);
    if method == Method::OPTIONS {
        // What browsers ask before they let a page of another site send something: no, wherever it is.
        return wrong_method(method, uri).await;
    }
    Refusal::new(
        StatusCode::NOT_FOUND,
        format!(
            "there is no route `{method} {path}`: workers use `/_worker/...`, people use `/` and what `/api/openapi.json` describes"
        ),
    )
}

async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    let path = crate::text::cut(uri.path(), 200);
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("`{path}` does not support the method `{method}`"))
}
