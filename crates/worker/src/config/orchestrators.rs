//! The list of orchestrators in `ORCHESTRATORS_CONFIG`.

use rxon::text::excerpt;
use rxon::transport::http::{OrchestratorUrl, redacted};
use serde_json::{Value, json};

use super::parse::{self, Accepts, Parsed, Wrong};
use super::problem::nearest;
use super::secret::Secret;
use super::value::{OptionValue, Setting};

/// The priority of an entry without one.
const DEFAULT_PRIORITY: i64 = 10;

/// The weight of an entry without one.
const DEFAULT_WEIGHT: u32 = 1;

/// An orchestrator in `ORCHESTRATORS_CONFIG`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OrchestratorEntry {
    /// Its address.
    pub url: OrchestratorUrl,
    /// Its priority: the lowest is tried first. The default is 10.
    pub priority: i64,
    /// Its share of the polls in `ROUND_ROBIN`, at least 1. The default is 1.
    pub weight: u32,
    /// Its own token. If it is empty, the worker's is used.
    pub token: Secret,
    /// The name of the cluster that it belongs to: entries with the same name are instances of one orchestrator, which
    /// share their storage.
    pub cluster: Option<String>,
}

impl OrchestratorEntry {
    /// An orchestrator with the default priority (10) and weight (1), and the worker's token.
    pub fn new(url: OrchestratorUrl) -> Self {
        let (priority, weight) = (DEFAULT_PRIORITY, DEFAULT_WEIGHT);
        Self { url, priority, weight, token: Secret::default(), cluster: None }
    }

    /// Sets its priority: the lowest is tried first.
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

    /// Sets the name of the cluster that it belongs to.
    pub fn with_cluster(self, name: impl Into<String>) -> Self {
        Self { cluster: Some(name.into()), ..self }
    }
}

pub(super) const ENTRIES: Accepts<Vec<OrchestratorEntry>> = Accepts {
    text: "a JSON list of objects with `url`, and optionally `priority`, `weight`, `token` and `cluster`",
    parse: entries,
};

/// The longest name of a cluster, which stands in log lines.
const MAX_CLUSTER_NAME: usize = 100;

const KEYS: [&str; 5] = ["url", "priority", "weight", "token", "cluster"];

/// Parses the list. All wrong entries are reported. A text that is not JSON counts as not set, as in the reference.
fn entries(text: &str) -> Parsed<Vec<OrchestratorEntry>> {
    let value: Value = serde_json::from_str(text).map_err(|error| Wrong::ignored(&error))?;
    let items = match value {
        Value::Array(items) => items,
        // As the empty list: a template that had nothing to fill in.
        Value::Null => return Ok(Vec::new()),
        _ => return Err(Wrong::default()),
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
    let given = |key| fields.get(key).filter(|value| !value.is_null());
    let url = given("url").map_or_else(|| Err("there is no `url`".to_owned()), url);
    let priority = given("priority").map_or(Ok(DEFAULT_PRIORITY), |value| {
        value.as_i64().ok_or_else(|| not_a_number(value, "priority", "a whole number"))
    });
    let weight = given("weight").map_or(Ok(DEFAULT_WEIGHT), |value| {
        let weight = value.as_u64().and_then(|weight| u32::try_from(weight).ok());
        let weight = weight.filter(|weight| *weight >= 1);
        weight.ok_or_else(|| not_a_number(value, "weight", "a whole number, 1 to 4294967295"))
    });
    let token = given("token").map_or_else(|| Ok(Secret::default()), token);
    let cluster = given("cluster").map_or(Ok(None), |value| cluster(value).map(Some));
    match (url, priority, weight, token, cluster) {
        (Ok(url), Ok(priority), Ok(weight), Ok(token), Ok(cluster)) => {
            Ok(OrchestratorEntry { url, priority, weight, token, cluster })
        }
        (url, priority, weight, token, cluster) => {
            let faults = [url.err(), priority.err(), weight.err(), token.err(), cluster.err()];
            Err(faults.into_iter().flatten().collect())
        }
    }
}

/// The name is not shown: it may be a token under the wrong key.
fn cluster(value: &Value) -> Result<String, String> {
    let is_name = |name: &&str| {
        let length = name.chars().count();
        (1..=MAX_CLUSTER_NAME).contains(&length) && *name == name.trim() && !name.contains(char::is_control)
    };
    value.as_str().filter(is_name).map(str::to_owned).ok_or_else(|| {
        format!(
            "`cluster` is not the name of a cluster, expected a text of 1 to {MAX_CLUSTER_NAME} characters without \
             spaces around it"
        )
    })
}

/// The orchestrators among entries that are in the order in which they are tried: each is one entry, or all entries of one
/// cluster.
pub(crate) fn by_cluster(entries: Vec<OrchestratorEntry>) -> Vec<Vec<OrchestratorEntry>> {
    let mut orchestrators: Vec<Vec<OrchestratorEntry>> = Vec::new();
    for entry in entries {
        let is_own = |known: &&mut Vec<OrchestratorEntry>| {
            entry.cluster.is_some() && known[0].cluster == entry.cluster
        };
        match orchestrators.iter_mut().find(is_own) {
            Some(cluster) => cluster.push(entry),
            None => orchestrators.push(vec![entry]),
        }
    }
    orchestrators
}

/// A sentence for each cluster with a single address.
pub(super) fn lonely(entries: Vec<OrchestratorEntry>) -> impl Iterator<Item = String> {
    by_cluster(entries).into_iter().filter(|entries| entries.len() == 1).filter_map(|entries| {
        let name = entries[0].cluster.as_ref()?;
        Some(format!("only one entry belongs to the cluster `{}`: is its name misspelt?", excerpt(name)))
    })
}

fn url(value: &Value) -> Result<OrchestratorUrl, String> {
    let Value::String(text) = value else { return Err("`url` is not a string".to_owned()) };
    parse::orchestrator(text).map_err(|expected| {
        let shown = excerpt(redacted(text.trim()));
        format!("`url` is `{shown}`, {expected}")
    })
}

fn token(value: &Value) -> Result<Secret, String> {
    let wrong = || format!("`token` is `***`, expected {}", parse::TOKEN.text);
    (parse::TOKEN.parse)(value.as_str().ok_or_else(wrong)?).map_err(|_| wrong())
}

/// The fault of a value that has to be a number. Only numbers are shown: anything else may be a token under the wrong key.
fn not_a_number(value: &Value, key: &str, expected: &str) -> String {
    match value {
        Value::Number(number) => format!("`{key}` is `{number}`, expected {expected}"),
        _ => format!("`{key}` is not a number, expected {expected}"),
    }
}

/// The faults of entries with the same address: their orchestrator would see two workers with one name.
fn duplicates(entries: &[(usize, OrchestratorEntry)]) -> impl Iterator<Item = String> {
    entries.iter().enumerate().filter_map(|(position, (index, entry))| {
        let mut earlier = entries[..position].iter();
        let (other, _) = earlier.find(|(_, other)| comparable(&other.url) == comparable(&entry.url))?;
        Some(format!("entries {other} and {index} have the same `url`, `{}`", entry.url))
    })
}

/// The address in a form in which equal addresses are the same text: the host in lower case, no default port.
fn comparable(url: &OrchestratorUrl) -> String {
    let text = url.to_string();
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    let host = host.to_lowercase();
    format!("{scheme}://{}{path}", host.strip_suffix(default_port).unwrap_or(&host))
}

/// A sentence for each unknown key of an entry.
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

impl Setting for Vec<OrchestratorEntry> {
    fn value(&self) -> OptionValue {
        OptionValue::Json(to_json(self, Secret::expose))
    }

    fn shown(&self) -> Option<String> {
        Some(to_json(self, |_| "***"))
    }
}

fn to_json(entries: &[OrchestratorEntry], token: impl Fn(&Secret) -> &str) -> String {
    let objects = entries.iter().map(|entry| {
        let mut object = json!({
            "url": entry.url.to_string(),
            "priority": entry.priority,
            "weight": entry.weight,
        });
        if let Some(cluster) = &entry.cluster {
            object["cluster"] = cluster.as_str().into();
        }
        if !entry.token.is_empty() {
            object["token"] = token(&entry.token).into();
        }
        object
    });
    json!(objects.collect::<Vec<_>>()).to_string()
}
