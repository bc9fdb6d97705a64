//! The scripted server: answers polls with new tasks, and every result with 200.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use testkit::{Script, ScriptedOrchestrator};

use crate::arguments::{Arguments, number};
use crate::process::Peer;

/// Longer than it takes to hand out and do the tasks: what follows the last one is not measured.
const HOLD: Duration = Duration::from_secs(30);

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
    /// A server with so many tasks.
    pub(crate) fn start(generation: Generation, tasks: usize) -> Result<Self, String> {
        let mut peer = Peer::role(&["server", "--generation", generation.name(), &tasks.to_string()])?;
        let url = peer.line()?;
        Ok(Self { peer, url })
    }

    /// Waits until the server has as many results as it had tasks.
    pub(crate) fn all_results(&mut self, client: &mut Peer) -> Result<(), String> {
        self.peer.line_while_runs(client).map(drop)
    }
}

/// `server [--generation older|newer] TASKS`: prints its address, and a line when all tasks have a result. Serves until
/// standard input is closed.
#[expect(clippy::print_stdout, reason = "its output is its address and a line")]
pub(super) fn run(mut arguments: Arguments<'_>) -> Result<(), String> {
    let script = match Generation::take(&mut arguments)? {
        Generation::Older => Script::older(),
        Generation::Newer => Script::newer(),
    };
    let [tasks] = arguments.words("TASKS")?;
    let tasks = number(tasks)?;
    super::runtime()?.block_on(async {
        let server = ScriptedOrchestrator::start_with(script.hold(HOLD).without_recording()).await;
        let mut number = 0;
        server.make_tasks(move || {
            number += 1;
            (number <= tasks).then(|| Bytes::from(task(number as u64)))
        });
        let results = AtomicUsize::new(0);
        server.watch(
            |_| (),
            move |_| {
                if results.fetch_add(1, Ordering::Relaxed) + 1 == tasks {
                    println!("all");
                }
            },
        );
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
