//! Tasks, as received, and the metadata of files.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::id::{JobId, TaskId, TaskName};
use crate::json;
use crate::secrets::masked;
use crate::text::excerpt_within;

/// The length to which quoted values are cut in messages, in characters.
const MAX_QUOTED: usize = 80;

/// A task, the answer to a poll.
#[derive(Debug, Clone)]
pub struct Task {
    /// The job to which the task belongs.
    pub job_id: JobId,
    /// The id of the task. When the orchestrator retries a task, it has a new one.
    pub task_id: TaskId,
    /// The name of the handler (`type` in JSON).
    pub name: TaskName,
    /// The parameters, an object, unchanged to the byte; `{}` when absent.
    pub params: Box<RawValue>,
    /// The W3C trace context; empty when absent.
    pub tracing_context: BTreeMap<String, String>,
    /// The metadata of the files in `params`, by key path.
    pub params_metadata: BTreeMap<String, FileMetadata>,
    /// The priority: higher is more urgent; 0 when absent.
    pub priority: f64,
    /// The time after which the result is useless, in Unix seconds.
    pub deadline: Option<f64>,
    /// The policy of the job, as sent; `None` when absent or null.
    pub policy: Option<Box<RawValue>>,
    /// The metadata of the job, an object, unchanged to the byte; `None` when absent or null.
    pub metadata: Option<Box<RawValue>>,
    /// The security context that the client gave the job, an object, unchanged to the byte; `None` when absent or null.
    pub security: Option<Box<RawValue>>,
    /// The entries that were left out because they are not valid, for a warning in the log.
    pub ignored: Vec<String>,
}

/// Size and `ETag` of one object, in `params_metadata` and `data_metadata`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMetadata {
    /// The address, `s3://bucket/key`; that of a directory ends in `/`.
    pub uri: String,
    /// The size in bytes; of a directory, the sum of its files.
    #[serde(default, deserialize_with = "count", skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The `ETag`, without quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

/// Reads a count, which some libraries write as a float.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let Some(value) = Option::<Value>::deserialize(deserializer)? else { return Ok(None) };
    let whole = value.as_f64().filter(|size| size.fract() == 0.0 && (0.0..EXACT).contains(size));
    let count = value.as_u64().or(whole.map(|size| size as u64));
    count.map(Some).ok_or_else(|| de::Error::custom(format_args!("`{value}` is not a count")))
}

/// A body that is not a task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct MalformedTask {
    /// The wrong field, its value, and the expected value.
    pub problem: String,
    /// The ids, when both are valid: then the task can be answered.
    pub ids: Option<(JobId, TaskId)>,
}

/// The fields as raw text, so that a field of the wrong type does not hide the ids.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Fields<'a> {
    job_id: Option<&'a RawValue>,
    task_id: Option<&'a RawValue>,
    #[serde(rename = "type")]
    name: Option<&'a RawValue>,
    params: Option<&'a RawValue>,
    tracing_context: Option<&'a RawValue>,
    params_metadata: Option<&'a RawValue>,
    priority: Option<&'a RawValue>,
    deadline: Option<&'a RawValue>,
    policy: Option<&'a RawValue>,
    metadata: Option<&'a RawValue>,
    security: Option<&'a RawValue>,
}

/// The fields as nearly every task has them, read in one pass. For any other task [`Fields`] tell what is wrong.
///
/// The test `a_usual_task_is_read_as_one_that_is_looked_at_closely` compares both: a field belongs into both, and into it.
#[derive(Deserialize)]
struct UsualFields<'a> {
    job_id: JobId,
    task_id: TaskId,
    #[serde(rename = "type")]
    name: TaskName,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    tracing_context: Option<BTreeMap<String, String>>,
    params_metadata: Option<BTreeMap<String, FileMetadata>>,
    priority: Option<f64>,
    deadline: Option<f64>,
    #[serde(borrow)]
    policy: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    security: Option<&'a RawValue>,
}

impl UsualFields<'_> {
    /// Returns `None` if a field has to be looked at closely.
    fn into_task(self) -> Option<Task> {
        if !(self.metadata.is_none_or(is_object) && self.security.is_none_or(is_object)) {
            return None;
        }
        Some(Task {
            job_id: self.job_id,
            task_id: self.task_id,
            name: self.name,
            params: object("params", self.params).ok()?,
            tracing_context: self.tracing_context.unwrap_or_default(),
            params_metadata: self.params_metadata.unwrap_or_default(),
            priority: self.priority.unwrap_or(0.0),
            deadline: self.deadline,
            policy: self.policy.map(ToOwned::to_owned),
            metadata: self.metadata.map(ToOwned::to_owned),
            security: self.security.map(ToOwned::to_owned),
            ignored: Vec::new(),
        })
    }
}

impl Task {
    /// Reads the body of a 200 answer to a poll, also if it is JSON only [as Python writes it](crate::json). Unknown fields
    /// are ignored.
    ///
    /// # Errors
    /// Returns [`MalformedTask`] when the body is not JSON, or a field is missing or of the wrong type.
    pub fn parse(body: &[u8]) -> Result<Self, MalformedTask> {
        let read = Self::parse_json(body);
        match read {
            // With ids it was JSON: another field is wrong.
            Err(MalformedTask { ids: None, .. }) => match json::mended(body) {
                Some(mended) => Self::parse_json(mended.as_bytes()),
                None => read,
            },
            read => read,
        }
    }

    fn parse_json(body: &[u8]) -> Result<Self, MalformedTask> {
        let not_a_task = |why: &dyn fmt::Display| MalformedTask {
            problem: masked(&format!("not a JSON object: {why}")).into_owned(),
            ids: None,
        };
        // serde would read an array as the fields in their order.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(not_a_task(&"it does not begin with a brace"));
        }
        if let Some(task) = Self::parse_usual(body) {
            return Ok(task);
        }
        let fields: Fields<'_> = serde_json::from_slice(body).map_err(|error| not_a_task(&error))?;
        Self::from_fields(&fields)
    }

    fn parse_usual(body: &[u8]) -> Option<Self> {
        // Checked once: reading from bytes would check every single string.
        let text = std::str::from_utf8(body).ok()?;
        serde_json::from_str::<UsualFields<'_>>(text).ok()?.into_task()
    }

    fn from_fields(fields: &Fields<'_>) -> Result<Self, MalformedTask> {
        let job_id: Result<JobId, _> = text("job_id", fields.job_id);
        let task_id: Result<TaskId, _> = text("task_id", fields.task_id);
        let ids = job_id.clone().ok().zip(task_id.clone().ok());
        let with_ids = |problem| MalformedTask { problem, ids: ids.clone() };
        let mut ignored = Vec::new();
        Ok(Self {
            job_id: job_id.map_err(with_ids)?,
            task_id: task_id.map_err(with_ids)?,
            name: text("type", fields.name).map_err(with_ids)?,
            params: object("params", fields.params).map_err(with_ids)?,
            tracing_context: entries(
                "tracing_context",
                fields.tracing_context,
                "an object of strings",
                &mut ignored,
            )
            .map_err(with_ids)?,
            // The file of an entry that is not valid is checked less strictly, or not at all.
            params_metadata: entries("params_metadata", fields.params_metadata, "an object", &mut ignored)
                .unwrap_or_else(|problem| {
                    ignored.push(problem);
                    BTreeMap::new()
                }),
            priority: number("priority", fields.priority).map_err(with_ids)?.unwrap_or(0.0),
            deadline: number("deadline", fields.deadline).map_err(with_ids)?,
            policy: fields.policy.filter(|policy| policy.get() != "null").map(ToOwned::to_owned),
            metadata: optional_object("metadata", fields.metadata, &mut ignored),
            security: optional_object("security", fields.security, &mut ignored),
            ignored,
        })
    }
}

/// Reads an id or a name.
fn text<T: DeserializeOwned>(field: &str, value: Option<&RawValue>) -> Result<T, String> {
    let value = value.ok_or_else(|| format!("`{field}` is missing"))?;
    serde_json::from_str(value.get()).map_err(|_| unexpected(field, value, "a non-empty string"))
}

fn number(field: &str, value: Option<&RawValue>) -> Result<Option<f64>, String> {
    let Some(value) = value else { return Ok(None) };
    match serde_json::from_str::<f64>(value.get()) {
        Ok(number) if number.is_finite() => Ok(Some(number)),
        _ => Err(unexpected(field, value, "a number")),
    }
}

fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

fn object(field: &str, value: Option<&RawValue>) -> Result<Box<RawValue>, String> {
    match value {
        None => Ok(RawValue::from_string("{}".to_owned()).expect("`{}` is JSON")),
        Some(value) if is_object(value) => Ok(value.to_owned()),
        Some(value) => Err(unexpected(field, value, "an object")),
    }
}

/// Reads an object that a task can do without. Any other value but null is added to `ignored`.
fn optional_object(
    field: &str,
    value: Option<&RawValue>,
    ignored: &mut Vec<String>,
) -> Option<Box<RawValue>> {
    let value = value.filter(|value| value.get() != "null")?;
    if is_object(value) {
        return Some(value.to_owned());
    }
    ignored.push(unexpected(field, value, "an object"));
    None
}

/// Reads the entries of an object. Those that are not valid are added to `ignored`.
fn entries<T: DeserializeOwned>(
    field: &str,
    value: Option<&RawValue>,
    expected: &str,
    ignored: &mut Vec<String>,
) -> Result<BTreeMap<String, T>, String> {
    let Some(value) = value else { return Ok(BTreeMap::new()) };
    let entries: BTreeMap<String, &RawValue> =
        serde_json::from_str(value.get()).map_err(|_| unexpected(field, value, expected))?;
    let mut read = BTreeMap::new();
    for (key, value) in entries {
        match serde_json::from_str(value.get()) {
            Ok(entry) => drop(read.insert(key, entry)),
            Err(_) => ignored.push(format!("{field} entry `{}`: `{}`", quoted(&key), quoted(value.get()))),
        }
    }
    Ok(read)
}

fn unexpected(field: &str, value: &RawValue, expected: &str) -> String {
    format!("`{field}` is `{}`, expected {expected}", quoted(value.get()))
}

fn quoted(text: &str) -> String {
    excerpt_within(json::restored(text).as_ref(), MAX_QUOTED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::Secrets;

    fn malformed(body: &str) -> MalformedTask {
        Task::parse(body.as_bytes()).expect_err(body)
    }

    #[test]
    fn params_arrive_unchanged_to_the_byte() {
        let params = r#"{"z": 0.1, "a":18446744073709551616,"e":1E400,"dup":1,"dup":2 }"#;
        let body = format!(r#"{{"job_id":"j","task_id":"t","type":"x","params":{params}}}"#);
        assert_eq!(Task::parse(body.as_bytes()).expect(&body).params.get(), params);
    }

    #[test]
    fn absent_and_null_fields_have_their_defaults() {
        for body in [
            r#"{"job_id":"j","task_id":"t","type":"x"}"#,
            r#"{"job_id":"j","task_id":"t","type":"x","params":null,"tracing_context":null,"priority":null,
                "deadline":null,"params_metadata":null,"sig":null,"later":[1]}"#,
        ] {
            let task = Task::parse(body.as_bytes()).expect(body);
            assert_eq!(task.params.get(), "{}");
            assert!(
                task.tracing_context.is_empty() && task.params_metadata.is_empty() && task.ignored.is_empty()
            );
            assert_eq!((task.priority, task.deadline), (0.0, None));
        }
    }

    #[test]
    fn numbers_are_read_leniently() {
        let body = br#"{"job_id":"j","task_id":"t","type":"x","priority":5,"deadline":1795451768.3600004}"#;
        let task = Task::parse(body).expect("a task");
        assert_eq!((task.priority, task.deadline), (5.0, Some(1_795_451_768.360_000_4)));
    }

    #[test]
    fn a_usual_task_is_read_as_one_that_is_looked_at_closely() {
        const FILE: &str = r#"{"uri":"s3://b/k","size":2.0,"etag":null}"#;
        let values = |field: &str| match field {
            "job_id" | "task_id" | "type" => vec!["\"j\"", "\"\\u0062\\n\"", "\"\"", "null", "1"],
            "params" => vec!["{}", "{\"a\":[1e400]}", "null", "[]", "{"],
            "tracing_context" => vec!["{}", "{\"a\":\"b\"}", "{\"a\":1}", "null", "{\"a\":\"\\ud800\"}"],
            "params_metadata" => {
                vec!["{}", FILE, "{\"a\":{\"uri\":\"u\",\"size\":7}}", "{\"a\":{}}", "null", "1"]
            }
            "priority" | "deadline" => vec!["0", "-1.5", "null", "1e400", "\"1\""],
            _ => vec!["{}", "{\"a\": 1}", "null", "[1]", "\"a\""],
        };
        let mut usual = 0;
        let fields = ["params", "tracing_context", "params_metadata", "priority", "deadline"];
        let more = ["job_id", "task_id", "type", "policy", "metadata", "security", "later"];
        for field in fields.into_iter().chain(more) {
            for value in values(field) {
                let mut members =
                    BTreeMap::from([("job_id", "\"j\""), ("task_id", "\"t\""), ("type", "\"x\"")]);
                members.insert(field, value);
                let members: Vec<_> =
                    members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                let body = format!("{{{}}}", members.join(","));
                let Some(task) = Task::parse_usual(body.as_bytes()) else { continue };
                usual += 1;
                let fields = &serde_json::from_str(&body).expect("JSON");
                let closely = Task::from_fields(fields).expect("a task");
                assert_eq!(format!("{task:?}"), format!("{closely:?}"), "{body}");
            }
        }
        assert!(usual >= 30, "{usual}");
    }

    #[test]
    fn a_wrong_field_is_named_and_the_ids_survive() {
        for (field, value, expected) in [
            ("params", "[1]", "an object"),
            ("params", "\"s\"", "an object"),
            ("priority", "\"high\"", "a number"),
            ("deadline", "true", "a number"),
            ("tracing_context", "5", "an object of strings"),
            ("type", "7", "a non-empty string"),
        ] {
            let mut fields = BTreeMap::from([("job_id", "\"j\""), ("task_id", "\"t\""), ("type", "\"x\"")]);
            fields.insert(field, value);
            let body: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            let error = malformed(&format!("{{{}}}", body.join(",")));
            assert!(error.problem.contains(&format!("`{field}`")), "{error}");
            assert!(error.problem.contains(value) && error.problem.contains(expected), "{error}");
            assert!(error.ids.is_some(), "{error}");
        }
        assert_eq!(malformed(r#"{"job_id":"j","task_id":"t"}"#).problem, "`type` is missing");
    }

    #[test]
    fn without_both_ids_a_task_cannot_be_answered() {
        for body in [
            r#"{"job_id":"j","type":"x"}"#,
            r#"{"job_id":"","task_id":"t","type":"x"}"#,
            r#"{"job_id":"j","task_id":5,"type":"x"}"#,
            "[]",
            r#"["j","t","x"]"#,
            "{",
            "",
            "<html>",
            "null",
            "{\"job_id\":\"\\ud800\",\"task_id\":\"t\",\"type\":\"x\"}",
        ] {
            assert_eq!(malformed(body).ids, None, "{body}");
        }
    }

    #[test]
    fn json_as_python_writes_it_is_a_task() {
        const ENVELOPE: &str = r#""job_id":"j","task_id":"t","type":"x""#;
        for (body, params) in [
            (
                format!("{{{ENVELOPE},\"params\":{{\"x\": NaN, \"y\":[-Infinity]}}}}"),
                r#"{"x": NaN, "y":[-Infinity]}"#,
            ),
            (format!("\u{feff}{{{ENVELOPE},\"params\":{{}}}}"), "{}"),
            (format!("{{\"params\":[],{ENVELOPE},\"params\":{{\"a\":1}},\"job_id\":\"j\"}}"), r#"{"a":1}"#),
            (format!("{{{ENVELOPE},\"later\":Infinity}}"), "{}"),
        ] {
            let task = Task::parse(body.as_bytes()).expect(&body);
            assert_eq!(json::restored(task.params.get()), params, "{body}");
            assert_eq!((task.job_id.as_str(), task.ignored.len()), ("j", 0));
        }
        let error = malformed(&format!("{{{ENVELOPE},\"priority\":NaN}}"));
        assert_eq!(error.problem, "`priority` is `NaN`, expected a number");
        assert!(error.ids.is_some());
    }

    #[test]
    fn a_bad_metadata_entry_is_left_out_and_named() {
        let body = br#"{"job_id":"j","task_id":"t","type":"x",
            "params_metadata":{"a":{"uri":"s3://b/k","size":3},"bad":{"size":-1},"worse":7}}"#;
        let task = Task::parse(body).expect("a task");
        assert_eq!(task.params_metadata.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(task.ignored.len(), 2, "{:?}", task.ignored);
    }

    #[test]
    fn metadata_and_security_arrive_unchanged_and_are_objects_or_left_out() {
        let body =
            r#"{"job_id":"j","task_id":"t","type":"x","metadata":{"n": 1.0},"security":{"signer_id":"c"}}"#;
        let task = Task::parse(body.as_bytes()).expect("a task");
        assert_eq!(task.metadata.as_deref().map(RawValue::get), Some(r#"{"n": 1.0}"#));
        assert_eq!(task.security.as_deref().map(RawValue::get), Some(r#"{"signer_id":"c"}"#));
        let body = r#"{"job_id":"j","task_id":"t","type":"x","metadata":[1],"security":null}"#;
        let task = Task::parse(body.as_bytes()).expect("a task");
        assert!(task.metadata.is_none() && task.security.is_none());
        assert_eq!(task.ignored, ["`metadata` is `[1]`, expected an object"]);
    }

    #[test]
    fn no_secret_is_quoted() {
        let _held = Secrets::new(["field-token-1".to_owned()]);
        for value in [r#"["field-token-1"]"#.to_owned(), format!("[\"{}field-token-1\"]", "x".repeat(70))] {
            let body = format!(r#"{{"job_id":"j","task_id":"t","type":{value},"params_metadata":{value}}}"#);
            let error = malformed(&body);
            assert!(!error.problem.contains("field-"), "{error}");
            let body = body.replacen("type\":", "type\":\"x\",\"x\":", 1);
            let task = Task::parse(body.as_bytes()).expect("a task");
            assert!(task.ignored.len() == 1 && !task.ignored[0].contains("field-"), "{:?}", task.ignored);
        }
    }

    #[test]
    fn long_values_are_cut_in_messages() {
        let body = format!(r#"{{"job_id":"j","task_id":"t","type":"x","params":"{}"}}"#, "x".repeat(5000));
        assert!(malformed(&body).problem.len() < 200);
    }
}
