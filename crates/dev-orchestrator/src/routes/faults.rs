//! The switches of faults for people.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::{Desk, body};
use crate::error::Error;
use crate::faults::{Fault, FaultStates, FaultSwitch, SwitchMessage, UnknownFault};
use crate::refusal::{self, Refusal};

#[derive(Serialize)]
struct FaultList {
    faults: FaultStates,
}

/// `GET /api/faults`
pub(super) async fn list(State(desk): State<Arc<Desk>>) -> Response {
    refusal::json(StatusCode::OK, &FaultList { faults: FaultStates(desk.hub.faults()) })
}

/// `PUT /api/faults`
pub(super) async fn switch(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refusal> {
    let body = body::read(request.into_body(), &desk.hub).await?;
    let messages: BTreeMap<String, SwitchMessage> = body::parse(&body, "a set of switches by their names")?;
    let switches = messages.into_iter().map(|(name, message)| {
        let fault: Fault =
            name.parse().map_err(|error: UnknownFault| Error::InvalidFault(error.to_string()))?;
        Ok((fault, message.switch(fault)?))
    });
    let switches: Vec<(Fault, FaultSwitch)> = switches.collect::<Result<_, Error>>()?;
    desk.hub.set_faults(switches)?;
    Ok(list(State(desk)).await)
}
