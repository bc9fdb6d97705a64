//! A development server, and its worker.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::Agent;

use crate::process::Peer;
use crate::roles::TOKEN;

pub(super) const SLOTS: usize = 10;

/// The tasks of one request.
const AT_ONCE: usize = 1000;

/// The time between two looks at the last task.
const LOOK: Duration = Duration::from_millis(2);

/// The time in which something has to come about.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running `avtomatika dev`, which is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Dev {
    pub(super) process: Peer,
    pub(super) url: String,
    /// The seconds from its start to its first line.
    pub(super) ready: f64,
    agent: Agent,
}

impl Dev {
    pub(super) fn start() -> Result<Self, String> {
        let mut command = Command::new(program()?);
        command.args(["dev", "--json", "--port", "0", "--s3-port", "0", "--token", TOKEN]);
        let began = Instant::now();
        let mut process = Peer::start(command)?;
        let banner = process.line()?;
        let ready = began.elapsed().as_secs_f64();
        let banner: Value = serde_json::from_str(&banner).map_err(|error| format!("{error}: {banner}"))?;
        let url = banner["url"].as_str().ok_or("there is no address")?.to_owned();
        Ok(Self { process, url, ready, agent: Agent::new_with_defaults() })
    }

    /// Starts its worker, and waits until it is registered.
    pub(super) fn worker(&self, tasks: usize) -> Result<Peer, String> {
        let worker = Peer::role(&["worker", &self.url, &SLOTS.to_string(), &tasks.to_string()])?;
        wait("the worker", || {
            Ok(self.get("/api/workers")?["workers"].as_array().is_some_and(|workers| !workers.is_empty()))
        })?;
        Ok(worker)
    }

    /// Submits so many tasks, and waits until the last one has ended. Returns the seconds that all took.
    pub(super) fn run(&mut self, tasks: usize) -> Result<f64, String> {
        let began = Instant::now();
        let mut last = String::new();
        for first in (0..tasks).step_by(AT_ONCE) {
            let params = json!({
                "image": format!("s3://avtomatika-payloads/in/{first}/photo.jpg"),
                "width": 640, "height": 480, "format": "webp",
            });
            let count = AT_ONCE.min(tasks - first);
            let body = json!({"type": "nothing", "count": count, "params": params}).to_string();
            let sent = self.agent.post(format!("{}/api/tasks", self.url)).content_type("application/json");
            let answer = sent.send(body).and_then(|mut answer| answer.body_mut().read_to_string());
            let answer = answer.map_err(|error| format!("cannot submit tasks: {error}"))?;
            let answer: Value = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
            let id = answer["tasks"].as_array().and_then(|tasks| tasks.last()?["job_id"].as_str());
            id.ok_or("there is no task")?.clone_into(&mut last);
        }
        // Tasks are handed out in their order, so that at most the last few run when this one has ended.
        wait("the last task", || Ok(self.get(&format!("/api/tasks/{last}"))?["status"] == "finished"))?;
        Ok(began.elapsed().as_secs_f64())
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, String> {
        get(&self.agent, &format!("{}{path}", self.url))
    }
}

fn wait(what: &str, is_there: impl Fn() -> Result<bool, String>) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    while !is_there()? {
        if Instant::now() > until {
            return Err(format!("{what} took too long"));
        }
        sleep(LOOK);
    }
    Ok(())
}

/// Asks for JSON.
pub(super) fn get(agent: &Agent, url: &str) -> Result<Value, String> {
    let answer = agent.get(url).call().and_then(|mut answer| answer.body_mut().read_to_string());
    let answer = answer.map_err(|error| format!("{url}: {error}"))?;
    serde_json::from_str(&answer).map_err(|error| format!("{url}: {error}"))
}

/// The command line, which was built in the same profile.
fn program() -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| error.to_string())?;
    let program = own.ancestors().nth(2).map(|folder| folder.join("avtomatika"));
    program.filter(|program| program.exists()).ok_or_else(|| {
        "the program `avtomatika` is not built: `cargo xtask bench --only dev` builds it".to_owned()
    })
}
