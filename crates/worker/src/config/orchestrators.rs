//! Several orchestrators, as configured.

use rxon::transport::http::OrchestratorUrl;
use serde_json::Value;

use super::Secret;
use super::parse::Parsed;

/// One orchestrator of `ORCHESTRATORS_CONFIG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrchestratorEntry {
    /// Where it is.
    pub url: OrchestratorUrl,
    /// Lower is tried first; 10 when not given.
    pub priority: i64,
    /// Its share of the polls in `ROUND_ROBIN`, at least 1; 1 when not given.
    pub weight: u32,
    /// Its own token; empty where the worker's counts.
    pub token: Secret,
}

/// How several orchestrators are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MultiOrchestratorMode {
    /// One at a time, the first that is healthy.
    Failover,
    /// All, in proportion to their weights.
    RoundRobin,
    /// All, in order of priority.
    Waterfall,
}

pub(super) fn mode(text: &str) -> Parsed<MultiOrchestratorMode> {
    match text.trim().to_uppercase().as_str() {
        "FAILOVER" => Ok(MultiOrchestratorMode::Failover),
        "ROUND_ROBIN" => Ok(MultiOrchestratorMode::RoundRobin),
        "WATERFALL" => Ok(MultiOrchestratorMode::Waterfall),
        _ => Err("FAILOVER, ROUND_ROBIN or WATERFALL".to_owned()),
    }
}

/// What `ORCHESTRATORS_CONFIG` says. None when it is not JSON at all: then it counts as not set, as the reference has it.
pub(super) fn entries(text: &str) -> Option<Parsed<Vec<OrchestratorEntry>>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let Value::Array(items) = value else { return Some(Err("a JSON list of objects with `url`".to_owned())) };
    Some(
        items
            .iter()
            .enumerate()
            .map(|(index, item)| entry(item).map_err(|problem| format!("entry {index} {problem}")))
            .collect(),
    )
}

fn entry(item: &Value) -> Parsed<OrchestratorEntry> {
    let Value::Object(fields) = item else { return Err("to be an object".to_owned()) };
    let url = match fields.get("url") {
        Some(Value::String(url)) => url
            .parse::<OrchestratorUrl>()
            .map_err(|error| format!("to have an address as its `url` ({error})"))?,
        _ => return Err("to have a `url`, a string".to_owned()),
    };
    let priority = match fields.get("priority") {
        None | Some(Value::Null) => 10,
        Some(value) => {
            value.as_i64().ok_or_else(|| format!("`priority` to be a whole number, not `{value}`"))?
        }
    };
    let weight = match fields.get("weight") {
        None | Some(Value::Null) => 1,
        Some(value) => value
            .as_u64()
            .and_then(|weight| u32::try_from(weight).ok())
            .filter(|weight| *weight >= 1)
            .ok_or_else(|| format!("`weight` to be a whole number of at least 1, not `{value}`"))?,
    };
    let token = match fields.get("token") {
        None | Some(Value::Null) => Secret::default(),
        Some(Value::String(token)) => Secret::new(token),
        Some(_) => return Err("`token` to be a string".to_owned()),
    };
    Ok(OrchestratorEntry { url, priority, weight, token })
}
