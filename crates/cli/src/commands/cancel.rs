//! `cancel`: waiting tasks at once, running ones by their worker.

use serde::{Deserialize, Serialize};

use crate::args::{Cancel, Global};
use crate::client::{Client, encoded, resolve};
use crate::exit::{Exit, Failure};
use crate::output::{Printer, Style};

#[derive(Deserialize)]
struct Answer {
    #[serde(default = "requested")]
    status: String,
}

/// What is printed for each task.
#[derive(Serialize)]
struct Cancelled<'a> {
    id: &'a str,
    status: &'a str,
}

fn requested() -> String {
    "requested".to_owned()
}

/// Cancels tasks.
pub(crate) async fn run(cancel: &Cancel, global: &Global, printer: &Printer) -> Result<Exit, Failure> {
    let client = Client::new(global)?.with_token(cancel.access.client_token.as_deref())?;
    let mut exit = Exit::Success;
    for id in &cancel.ids {
        match one(&client, id, printer).await {
            Ok(()) => {}
            Err(failure) if cancel.ids.len() == 1 || failure.is_fatal() => return Err(failure),
            Err(failure) => {
                failure.print(printer);
                exit = Exit::Failure;
            }
        }
    }
    Ok(exit)
}

async fn one(client: &Client, id: &str, printer: &Printer) -> Result<(), Failure> {
    let (id, path) = if client.has_token() {
        (id.to_owned(), format!("/api/v1/jobs/{}/cancel", encoded(id)))
    } else {
        let id = resolve(client, id).await?;
        let path = format!("/api/tasks/{}/cancel", encoded(&id));
        (id, path)
    };
    let answer: Answer = client.post(&path, String::new()).await?.read()?;
    let status = answer.status.as_str();
    if printer.is_json() {
        printer.json(&Cancelled { id: &id, status })?;
    } else {
        let paint = printer.data_paint();
        printer.data(format_args!("{id}  {}", paint.apply(Style::Yellow, rxon::text::one_line(status))))?;
    }
    Ok(())
}
