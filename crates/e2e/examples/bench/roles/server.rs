//! The scripted server: answers every poll with a new task, and every result with 200.

use std::io::Read;

use bytes::Bytes;
use testkit::{Script, ScriptedOrchestrator};

use crate::arguments::Arguments;
use crate::process::Peer;

/// The generation of the protocol that the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generation {
    Older,
    Newer,
}

impl Generation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Older => "older",
            Self::Newer => "newer",
        }
    }

    /// Takes `--generation older|newer`.
    pub(super) fn take(arguments: &mut Arguments<'_>) -> Result<Self, String> {
        match arguments.option("--generation")? {
            None | Some("newer") => Ok(Self::Newer),
            Some("older") => Ok(Self::Older),
            Some(other) => Err(format!("`{other}` is no generation, expected `older` or `newer`")),
        }
    }
}

/// The server as a process.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) peer: Peer,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(generation: Generation) -> Result<Self, String> {
        let mut peer = Peer::role(&["server", "--generation", generation.name()])?;
        let url = peer.line()?;
        Ok(Self { peer, url })
    }
}

/// `server [--generation older|newer]`: prints its address, and serves until standard input is closed.
#[expect(clippy::print_stdout, reason = "its output is its address")]
pub(super) fn run(mut arguments: Arguments<'_>) -> Result<(), String> {
    let script = match Generation::take(&mut arguments)? {
        Generation::Older => Script::older(),
        Generation::Newer => Script::newer(),
    };
    let [] = arguments.words("no argument")?;
    super::runtime()?.block_on(async {
        let server = ScriptedOrchestrator::start_with(script.without_recording()).await;
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
pub(super) fn task(number: u64) -> String {
    format!(
        r#"{{"job_id":"job-{number:08}","task_id":"task-{number:08}","type":"nothing","params":{{"source":"{}","width":640,"height":480,"ratio":0.1}},"tracing_context":{{}},"priority":0,"metadata":{{}},"step":1}}"#,
        "x".repeat(200)
    )
}
