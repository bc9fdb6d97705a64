//! Redis, as Debian installs it: the storage that several orchestrators can share.

use std::process::Command;

use crate::orchestrator::free_port;
use crate::process::Process;
use crate::wait::{LIMIT, until};

/// A Redis that keeps everything in memory. Dropping it kills it.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    process: Option<Process>,
}

impl Redis {
    /// Starts it on a free port, and waits until it listens.
    pub fn start() -> Self {
        // The port was free a moment ago. If another program has taken it meanwhile, another port is tried.
        for _ in 0..4 {
            let mut redis = Self { port: free_port(), process: None };
            if redis.launch() {
                return redis;
            }
        }
        panic!("`redis-server` does not start")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Kills it, and starts it on the same port with nothing in it.
    pub fn restart_empty(&mut self) {
        self.process = None;
        assert!(self.launch(), "`redis-server` does not start again on port {}", self.port);
    }

    /// Starts the process, and returns whether it is listening.
    fn launch(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &self.port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        let found = Command::new("redis-server").arg("--version").output();
        assert!(found.is_ok(), "`redis-server` is not installed; run `cargo xtask setup`, or install it");
        let mut process = Process::spawn("redis-server", &mut command);
        let listens = until("redis-server listens", LIMIT, || {
            let ready = process.log().lines().iter().any(|line| line.contains("eady to accept connections"));
            if ready { Some(true) } else { process.exit_code().map(|_| false) }
        });
        self.process = Some(process);
        listens
    }
}
