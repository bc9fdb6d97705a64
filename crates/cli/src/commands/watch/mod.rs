//! `watch`: what happens, in the terminal.

mod board;

use std::time::Duration;

use anyhow::anyhow;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use self::board::Board;
use super::submit::real;
use super::waiting;
use crate::args::{Global, Watch};
use crate::client::{Client, Event, resolve};
use crate::exit::{Exit, Failure};
use crate::json;
use crate::output::Printer;
use crate::signals::Signals;

/// The time for which a lost connection is tried again.
const PATIENCE: Duration = Duration::from_secs(30);

/// The time between two tries.
const INTERVAL: Duration = Duration::from_millis(500);

/// An event, for programs.
#[derive(Serialize)]
struct Line<'a> {
    event: &'a str,
    data: &'a RawValue,
}

/// Shows what happens until a signal, or until the named tasks have ended.
pub(crate) async fn run(watch: &Watch, global: &Global, printer: &Printer) -> Result<Exit, Failure> {
    let client = Client::new(global)?.with_token(watch.access.client_token.as_deref())?;
    let mut signals = Signals::listen()?;
    let watching = async {
        match watch.ids.as_slice() {
            ids if client.has_token() => jobs(&client, ids, printer).await,
            [] => everything(&client, printer).await,
            ids => tasks(&client, ids, printer).await,
        }
    };
    tokio::select! {
        biased;
        signal = signals.next() => Ok(Exit::Interrupted(signal)),
        exit = watching => exit,
        closed = printer.closed() => Err(closed.into()),
    }
}

/// Watches tasks until they have ended.
async fn tasks(client: &Client, ids: &[String], printer: &Printer) -> Result<Exit, Failure> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.push(resolve(client, id).await?);
    }
    let mut exit = Exit::Success;
    waiting::until_ended(client, &found, true, printer, |task| {
        if task.status != "finished" {
            exit = Exit::Failure;
        }
        if printer.is_json() {
            let view = board::view(&task)?;
            return printer.json(&Line { event: "task", data: &view });
        }
        printer.data(board::line(&task, printer.data_paint()))
    })
    .await?;
    Ok(exit)
}

/// Watches jobs of a real orchestrator, one after the other.
async fn jobs(client: &Client, ids: &[String], printer: &Printer) -> Result<Exit, Failure> {
    if ids.is_empty() {
        return Err(Failure::usage(anyhow!(
            "the API of a real orchestrator tells no events, expected job ids"
        )));
    }
    let mut exit = Exit::Success;
    for id in ids {
        let job = real::ended(client, id).await?;
        if job.status != "finished" {
            exit = Exit::Failure;
        }
        if printer.is_json() {
            let data =
                serde_json::value::to_raw_value(&serde_json::json!({"job_id": id, "status": job.status}))?;
            printer.json(&Line { event: "job", data: &data })?;
        } else {
            printer.data(format_args!("{id}  {}", job.status))?;
        }
    }
    Ok(exit)
}

/// Watches all tasks. Ends only with an error.
async fn everything(client: &Client, printer: &Printer) -> Result<Exit, Failure> {
    let mut board = Board::new(printer);
    let mut last_id: Option<String> = None;
    let mut lost_at: Option<Instant> = None;
    loop {
        match client.events("/api/events", last_id.as_deref()).await {
            Ok(mut events) => {
                if lost_at.take().is_some() {
                    board.note("connected again");
                }
                while let Some(event) = events.next().await {
                    show(&event, &mut board, printer)?;
                    last_id = event.id.or(last_id);
                }
                board.note("connection lost, trying again");
                lost_at = Some(Instant::now());
            }
            // At the beginning nobody is there, or somebody else.
            Err(failure) if lost_at.is_none_or(|since| since.elapsed() > PATIENCE) => return Err(failure),
            Err(_) => {}
        }
        sleep(INTERVAL).await;
    }
}

fn show(event: &Event, board: &mut Board<'_>, printer: &Printer) -> anyhow::Result<()> {
    if !printer.is_json() {
        return board.show(event);
    }
    // Data that are no JSON are none of this interface.
    let Ok(data) = RawValue::from_string(json::compact(&event.data)) else { return Ok(()) };
    printer.json(&Line { event: &event.name, data: &data })
}
