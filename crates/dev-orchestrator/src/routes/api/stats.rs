//! Figures of the last hour.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::super::Desk;
use crate::refusal::{self, Refusal};
use crate::stats::Second;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Period {
    since: Option<String>,
}

#[derive(Serialize)]
struct Figures {
    /// The present time, in seconds since 1970.
    now: f64,
    seconds: Vec<Second>,
}

/// `GET /api/stats`
pub(super) async fn stats(
    State(desk): State<Arc<Desk>>,
    period: Result<Query<Period>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(period) = period?;
    let since = period.since.filter(|since| !since.is_empty()).map_or(Ok(0.0), |since| {
        since.parse::<f64>().ok().filter(|since| since.is_finite()).ok_or_else(|| {
            let shown = crate::text::cut(&since, 80);
            Refusal::bad_request(format!("`since` is `{shown}`, expected a time in seconds since 1970"))
        })
    })?;
    let (now, seconds) = desk.hub.update(|jobs, now| jobs.seconds(since, now));
    Ok(refusal::json(StatusCode::OK, &Figures { now, seconds }))
}
