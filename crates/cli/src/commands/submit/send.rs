//! The check and the sending of tasks.

use anyhow::anyhow;
use serde::Serialize;
use serde_json::value::RawValue;
use strsim::damerau_levenshtein;

use super::files::Upload;
use super::params::Given;
use super::schema;
use crate::args::Submit;
use crate::client::{Client, Skill, SkillList, Submitted};
use crate::exit::Failure;
use crate::output::Printer;

/// The request for a task.
#[derive(Serialize)]
struct Request<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
    params: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<f64>,
}

/// Checks the parameters, uploads their files, and returns the body of the request.
pub(super) async fn body(
    submit: &Submit,
    given: Given,
    client: &Client,
    printer: &Printer,
) -> Result<String, Failure> {
    let mut uploads = Vec::new();
    for path in given.files() {
        uploads.push(Upload::of(path).await?);
    }
    let skills = if submit.job.is_some() { None } else { skills(client).await? };
    let name = submit.name.as_deref().filter(|_| submit.job.is_none());
    let skill =
        skills.as_ref().zip(name).and_then(|(skills, name)| skills.iter().find(|skill| skill.name == name));
    let schema = skill.and_then(|skill| skill.input_schema.as_ref());
    let addresses: Vec<String> = uploads.iter().map(Upload::address).collect();
    let params = given.object(&addresses, schema)?;
    if let Some(schema) = schema {
        check(schema, &params, name.unwrap_or_default())?;
    }
    if let (Some(skills), Some(name)) = (&skills, name) {
        warn(skills, skill, name, printer);
    }
    if let Some(upload) = uploads.first() {
        upload.check_storage(client).await?;
    }
    for upload in uploads {
        upload.send(client).await?;
    }
    let (job, priority, timeout) = (submit.job.as_deref(), submit.priority, submit.timeout);
    Ok(serde_json::to_string(&Request { name, job, params: &params, priority, timeout })?)
}

/// Submits one task.
pub(super) async fn one(client: &Client, body: &str) -> Result<Submitted, Failure> {
    client.post("/api/tasks", body.to_owned()).await?.read()
}

/// Returns what workers registered; `None` if the server does not tell.
async fn skills(client: &Client) -> Result<Option<Vec<Skill>>, Failure> {
    let answer = client.get("/api/skills").await?;
    if answer.is_not_found() {
        return Ok(None);
    }
    answer.read().map(|list: SkillList| Some(list.skills))
}

fn check(schema: &serde_json::Value, params: &RawValue, name: &str) -> Result<(), Failure> {
    // A number that is too large for this check is left to the worker.
    let Ok(value) = serde_json::from_str(params.get()) else { return Ok(()) };
    let problems = schema::problems(schema, &value);
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(anyhow!("PARAMS do not fit `{name}`: {}", problems.join("; "))))
}

/// Warns about a type that no worker registered.
fn warn(skills: &[Skill], skill: Option<&Skill>, name: &str, printer: &Printer) {
    match skill {
        None => {
            let nearest = skills.iter().min_by_key(|skill| damerau_levenshtein(&skill.name, name));
            let hint =
                nearest.map(|nearest| format!("; did you mean `{}`?", nearest.name)).unwrap_or_default();
            printer.warning(format_args!("no worker has registered `{name}`, the task waits for one{hint}"));
        }
        Some(skill) if skill.workers.is_empty() => {
            printer.warning(format_args!("no worker for `{name}` is there now, the task waits for one"));
        }
        Some(_) => {}
    }
}
