//! Answers wait until what they say is kept.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::persist::Keeper;
use crate::refusal::Refusal;

/// Passes an answer on when everything that has happened until then is committed. Otherwise the answer is dropped: a task
/// in it goes back to the queue.
pub(super) async fn before_answer(State(keeper): State<Keeper>, request: Request, next: Next) -> Response {
    let answer = next.run(request).await;
    match keeper.kept().await {
        Ok(()) => answer,
        Err(problem) => Refusal::new(StatusCode::INSUFFICIENT_STORAGE, problem.to_string()).into_response(),
    }
}
