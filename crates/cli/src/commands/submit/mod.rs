//! `submit`: tasks, and their results if wanted.

mod files;
pub(super) mod params;
pub(super) mod real;
mod results;
pub(super) mod schema;
mod send;
mod texts;

use crate::args::{Global, Submit};
use crate::client::{Client, Submitted};
use crate::exit::{Exit, Failure};
use crate::output::Printer;
use crate::signals::Signals;

/// Submits tasks; with `--wait` or `--watch`, waits for their ends and prints the results.
pub(crate) async fn run(submit: &Submit, global: &Global, printer: &Printer) -> Result<Exit, Failure> {
    // A job has a name of its own: everything else are parameters.
    let first = submit.name.iter().filter(|_| submit.job.is_some());
    let words: Vec<String> = first.chain(&submit.params.params).cloned().collect();
    let given = params::Given::read(&words)?;
    let client = Client::new(global)?.with_token(submit.access.client_token.as_deref())?;
    if client.has_token() {
        return real::run(submit, &given, &client, printer).await;
    }
    let body = send::body(submit, given, &client, printer).await?;
    if !submit.wait && !submit.watch {
        for _ in 0..submit.count {
            print_id(&send::one(&client, &body).await?, printer)?;
        }
        return Ok(Exit::Success);
    }
    let mut signals = Signals::listen()?;
    let mut submitted = Vec::new();
    let waiting = async {
        for _ in 0..submit.count {
            submitted.push(send::one(&client, &body).await?.job_id);
        }
        results::print(&client, &submitted, submit.watch, printer).await
    };
    let signal = tokio::select! {
        biased;
        signal = signals.next() => signal,
        exit = waiting => return exit,
    };
    for id in &submitted {
        printer.note(format_args!("{id} goes on; `avtomatika cancel {id}` ends it"));
    }
    Ok(Exit::Interrupted(signal))
}

fn print_id(submitted: &Submitted, printer: &Printer) -> anyhow::Result<()> {
    if printer.is_json() { printer.json(submitted) } else { printer.data(&submitted.job_id) }
}
