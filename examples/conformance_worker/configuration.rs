//! The variables `CONFORMANCE_…` of this worker: options that a user would set in code.

use std::collections::BTreeMap;
use std::env;

use avtomatika_worker::{WorkerBuilder, WorkerConfig};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads the configuration from the environment, overridden by `CONFORMANCE_CONFIG`.
pub(crate) fn load() -> WorkerConfig {
    let mut config = WorkerConfig::from_env();
    for (name, value) in json::<BTreeMap<String, Value>>("CONFORMANCE_CONFIG").unwrap_or_default() {
        let text = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        config = config.option(&name, &text);
    }
    config
}

/// Sets the options of the builder.
pub(crate) fn apply(mut builder: WorkerBuilder) -> WorkerBuilder {
    if let Ok(worker_type) = env::var("CONFORMANCE_WORKER_TYPE") {
        builder = builder.worker_type(worker_type);
    }
    if let Some(limit) = json("CONFORMANCE_MAX_CONCURRENT") {
        builder = builder.max_concurrent_tasks(limit);
    }
    for (group, limit) in json::<BTreeMap<String, usize>>("CONFORMANCE_TYPE_LIMITS").unwrap_or_default() {
        builder = builder.limit(group, limit);
    }
    for (skill, models) in
        json::<BTreeMap<String, Vec<String>>>("CONFORMANCE_SKILL_DEPENDENCIES").unwrap_or_default()
    {
        builder = builder.skill_dependencies(skill, models);
    }
    builder
}

fn json<T: DeserializeOwned>(name: &str) -> Option<T> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name} is `{text}`: {error}")))
}
