//! Several orchestrators, as configured.

use rxon::text::excerpt;
use rxon::transport::http::OrchestratorUrl;
use serde_json::{Map, Value};

use super::Secret;
use super::nearest;
use super::parse::{self, Accepts, Parsed, Wrong};

/// One orchestrator of `ORCHESTRATORS_CONFIG`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
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

impl OrchestratorEntry {
    /// An orchestrator at this address, with the default priority (10) and weight (1), and the worker's token.
    pub fn new(url: OrchestratorUrl) -> Self {
        Self { url, priority: 10, weight: 1, token: Secret::default() }
    }

    /// Sets the priority: lower is tried first.
    pub fn with_priority(self, priority: i64) -> Self {
        Self { priority, ..self }
    }

    /// Sets its share of the polls in `ROUND_ROBIN`, at least 1.
    pub fn with_weight(self, weight: u32) -> Self {
        Self { weight, ..self }
    }

    /// Sets its own token.
    pub fn with_token(self, token: &str) -> Self {
        Self { token: Secret::new(token), ..self }
    }
}

pub(super) const ENTRIES: Accepts<Vec<OrchestratorEntry>> = Accepts {
    text: "a JSON list of objects with `url`, and optionally `priority`, `weight` and `token`",
    parse: entries,
};

const KEYS: [&str; 4] = ["url", "priority", "weight", "token"];

/// Every wrong entry is told, not only the first. What is no JSON at all counts as not set, as the reference has it.
fn entries(text: &str) -> Parsed<Vec<OrchestratorEntry>> {
    let value: Value = serde_json::from_str(text).map_err(|error| Wrong::ignored(&error))?;
    let items = match value {
        Value::Array(items) => items,
        // As good as the empty list: a template that had nothing to fill in.
        Value::Null => return Ok(Vec::new()),
        _ => return Err(Wrong::value()),
    };
    let mut entries = Vec::new();
    let mut wrong = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match entry(item) {
            Ok(entry) => entries.push((index, entry)),
            Err(faults) => wrong.extend(faults.into_iter().map(|fault| format!("entry {index}: {fault}"))),
        }
    }
    wrong.extend(duplicates(&entries));
    if wrong.is_empty() {
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    } else {
        Err(Wrong::detail(wrong.join("; ")))
    }
}

fn entry(item: &Value) -> Result<OrchestratorEntry, Vec<String>> {
    let Value::Object(fields) = item else { return Err(vec!["expected an object".to_owned()]) };
    let mut faults = Vec::new();
    let mut kept = |fault: String| faults.push(fault);
    let url = url(fields).map_err(&mut kept).ok();
    let priority = priority(fields).map_err(&mut kept).ok();
    let weight = weight(fields).map_err(&mut kept).ok();
    let token = token(fields).map_err(&mut kept).ok();
    match (url, priority, weight, token) {
        (Some(url), Some(priority), Some(weight), Some(token)) => {
            Ok(OrchestratorEntry { url, priority, weight, token })
        }
        _ => Err(faults),
    }
}

fn url(fields: &Map<String, Value>) -> Result<OrchestratorUrl, String> {
    let Some(value) = given(fields, "url") else { return Err("there is no `url`".to_owned()) };
    let Value::String(text) = value else { return Err("`url` is no string".to_owned()) };
    parse::orchestrator(text).map_err(|expected| {
        let shown = excerpt(rxon::transport::http::redacted(text.trim()));
        format!("`url` is `{shown}`, {expected}")
    })
}

fn priority(fields: &Map<String, Value>) -> Result<i64, String> {
    let Some(value) = given(fields, "priority") else { return Ok(10) };
    value.as_i64().ok_or_else(|| not(value, "priority", "a whole number"))
}

fn weight(fields: &Map<String, Value>) -> Result<u32, String> {
    let Some(value) = given(fields, "weight") else { return Ok(1) };
    let weight = value.as_u64().and_then(|weight| u32::try_from(weight).ok());
    weight
        .filter(|weight| *weight >= 1)
        .ok_or_else(|| not(value, "weight", "a whole number, 1 to 4294967295"))
}

fn token(fields: &Map<String, Value>) -> Result<Secret, String> {
    let Some(value) = given(fields, "token") else { return Ok(Secret::default()) };
    let wrong = || format!("`token` is `***`, expected {}", parse::TOKEN.text);
    (parse::TOKEN.parse)(value.as_str().ok_or_else(wrong)?).map_err(|_| wrong())
}

fn given<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    fields.get(key).filter(|value| !value.is_null())
}

/// Only numbers are shown: who mixes up keys may have written a token where a number belongs.
fn not(value: &Value, key: &str, expected: &str) -> String {
    match value {
        Value::Number(number) => format!("`{key}` is `{number}`, expected {expected}"),
        _ => format!("`{key}` is no number, expected {expected}"),
    }
}

/// One orchestrator twice: it would see two workers under one name.
fn duplicates(entries: &[(usize, OrchestratorEntry)]) -> Vec<String> {
    let mut told = Vec::new();
    for (place, (index, entry)) in entries.iter().enumerate() {
        let address = comparable(&entry.url);
        let earlier = entries[..place].iter().find(|(_, other)| comparable(&other.url) == address);
        if let Some((other, _)) = earlier {
            told.push(format!("entries {other} and {index} have the same `url`, `{}`", entry.url));
        }
    }
    told
}

/// The address without what makes no difference: the case of the host, and the port that its scheme has anyway.
fn comparable(url: &OrchestratorUrl) -> String {
    let text = url.to_string();
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let usual = if scheme == "https" { ":443" } else { ":80" };
    let host = host.to_lowercase();
    format!("{scheme}://{}{path}", host.strip_suffix(usual).unwrap_or(&host))
}

/// A sentence for each key that no entry has.
pub(super) fn unknown_keys(text: &str) -> Vec<String> {
    let Ok(Value::Array(items)) = serde_json::from_str(text) else { return Vec::new() };
    let objects = items.iter().enumerate().filter_map(|(index, item)| Some((index, item.as_object()?)));
    let keys = objects.flat_map(|(index, fields)| fields.keys().map(move |key| (index, key)));
    keys.filter(|(_, key)| !KEYS.contains(&key.as_str()))
        .map(|(index, key)| {
            let nearest = nearest(KEYS, key);
            format!("entry {index} has an unknown key `{}`; did you mean `{nearest}`?", excerpt(key))
        })
        .collect()
}
