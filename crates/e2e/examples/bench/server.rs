//! The scripted server: answers every poll with a new task, and every result with 200.

use std::io::Read;

use bytes::Bytes;
use testkit::{Script, ScriptedOrchestrator};

/// Prints its address, and serves until standard input is closed.
#[expect(clippy::print_stdout, reason = "its output is its address")]
pub(crate) fn serve() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let server = ScriptedOrchestrator::start_with(Script::newer().without_recording()).await;
        let mut number = 0u64;
        server.make_tasks(move || {
            number += 1;
            Some(Bytes::from(task(number)))
        });
        println!("{}", server.url());
        // The parent holds the other end: however the parent ends, the server ends, too.
        let closed = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0; 1]));
        let _ = closed.await;
        server.stop().await;
    });
    Ok(())
}

/// Returns a task of about 400 bytes, as in the measurements that the design is based on.
fn task(number: u64) -> String {
    format!(
        r#"{{"job_id":"job-{number:08}","task_id":"task-{number:08}","type":"nothing","params":{{"source":"{}","width":640,"height":480,"ratio":0.1}},"tracing_context":{{}},"priority":0,"metadata":{{}},"step":1}}"#,
        "x".repeat(200)
    )
}
