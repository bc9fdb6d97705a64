//! Answers wait until what they say is kept.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::persist::Keeper;
use crate::refusal::Refusal;

/// Passes an answer on when everything that has happened until then is committed. If that is not possible, people still
/// get answers to their questions; any other answer is dropped. A task in it goes back to the queue, except that an
/// imitated orchestrator loses it.
pub(super) async fn before_answer(State(keeper): State<Keeper>, request: Request, next: Next) -> Response {
    let asks = request.method().is_safe() && !request.uri().path().starts_with("/_worker");
    let answer = next.run(request).await;
    match keeper.before_answer(asks).await {
        Ok(()) => answer,
        Err(problem) => Refusal::new(StatusCode::INSUFFICIENT_STORAGE, problem.to_string()).into_response(),
    }
}
