//! `retry`: ended tasks are submitted once more.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::submit::params;
use crate::args::{Global, Retry};
use crate::client::{Client, encoded, resolve};
use crate::exit::{Exit, Failure};
use crate::output::Printer;

#[derive(Serialize)]
struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a RawValue>,
}

/// The new task.
#[derive(Deserialize, Serialize)]
struct Retried {
    task_id: String,
    job_id: String,
    of: String,
}

/// Retries tasks.
pub(crate) async fn run(retry: &Retry, global: &Global, printer: &Printer) -> Result<Exit, Failure> {
    let params = retry.params.as_deref().map(params::json).transpose()?;
    let body = serde_json::to_string(&Request { params: params.as_deref() })?;
    let client = Client::new(global)?;
    let mut exit = Exit::Success;
    for id in &retry.ids {
        match one(&client, id, &body, printer).await {
            Ok(()) => {}
            Err(failure) if retry.ids.len() == 1 || failure.is_fatal() => return Err(failure),
            Err(failure) => {
                failure.print(printer);
                exit = Exit::Failure;
            }
        }
    }
    Ok(exit)
}

async fn one(client: &Client, id: &str, body: &str, printer: &Printer) -> Result<(), Failure> {
    let id = resolve(client, id).await?;
    let path = format!("/api/tasks/{}/retry", encoded(&id));
    let retried: Retried = client.post(&path, body.to_owned()).await?.read()?;
    if printer.is_json() {
        printer.json(&retried)?;
    } else {
        printer.data(retried.job_id)?;
    }
    Ok(())
}
