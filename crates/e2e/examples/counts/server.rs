//! The scripted server: it has this many tasks, and then holds the polls.

use std::io::Read;
use std::time::Duration;

use bytes::Bytes;
use testkit::{Generation, Script, ScriptedOrchestrator};

use crate::{runtime, task};

/// Longer than any count takes, so that no poll is answered without a task.
const HOLD: Duration = Duration::from_secs(3600);

/// Prints its address, and serves until standard input is closed.
#[expect(clippy::print_stdout, reason = "its output is its address")]
pub(crate) fn serve(generation: Generation, tasks: usize) -> Result<(), String> {
    runtime()?.block_on(async {
        let script = Script { generation, ..Script::default() };
        let server = ScriptedOrchestrator::start_with(script.hold(HOLD).without_recording()).await;
        let mut number = 0;
        server.make_tasks(move || {
            number += 1;
            (number <= tasks).then(|| Bytes::from(task(number)))
        });
        println!("{}", server.url());
        // The parent holds the other end: however the parent ends, the server ends, too.
        let closed = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0; 1]));
        let _ = closed.await;
        server.stop().await;
    });
    Ok(())
}
