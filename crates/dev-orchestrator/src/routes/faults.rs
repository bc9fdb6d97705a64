//! The switches of faults for people.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Serialize, Serializer};

use super::{Desk, body};
use crate::error::Error;
use crate::faults::{Fault, FaultState, FaultSwitch, SwitchMessage, UnknownFault};
use crate::refusal::{self, Refusal};

/// The states of all faults, by their names, in the order of the table.
#[derive(Serialize)]
struct FaultList {
    #[serde(serialize_with = "by_name")]
    faults: Vec<FaultState>,
}

/// `GET /api/faults`
pub(super) async fn list(State(desk): State<Arc<Desk>>) -> Response {
    refusal::json(StatusCode::OK, &FaultList { faults: desk.hub.faults() })
}

/// `PUT /api/faults`
pub(super) async fn switch(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refusal> {
    let body = body::read(request.into_body(), desk.hub.settings.body_limit).await?;
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

fn by_name<S: Serializer>(faults: &[FaultState], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(faults.iter().map(|state| (state.fault, state)))
}
