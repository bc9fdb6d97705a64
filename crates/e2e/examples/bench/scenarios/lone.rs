//! The workers that are measured alone, without tasks: those of this workspace, and the existing ones.

use std::path::PathBuf;

use testkit::{Script, ScriptedOrchestrator};

use super::clients::{Client, Setting};
use crate::options::Options;
use crate::process::Peer;
use crate::roles::Generation;

const SLOTS: usize = 10;

/// A worker, and the generation that it was made for.
#[derive(Debug)]
pub(super) struct Lone {
    pub(super) name: String,
    client: Client,
    generation: Generation,
}

pub(super) fn all(options: &Options) -> Vec<Lone> {
    let newer = Generation::Newer;
    let mut all = vec![Lone::new(Client::worker("worker in Rust", &[]), newer)];
    let python = |name: String, program: &PathBuf| Client::python(name, program, "async", (1, 1));
    for ours in &options.pythons {
        all.push(Lone::new(python(format!("this package, Python {}", ours.version), &ours.program), newer));
    }
    for package in &options.existing {
        let is_older = package.version == super::python::OLDER;
        let generation = if is_older { Generation::Older } else { newer };
        let name = format!("avtomatika-worker {}", package.version);
        all.push(Lone::new(python(name, &package.program), generation));
    }
    all
}

impl Lone {
    fn new(client: Client, generation: Generation) -> Self {
        Self { name: client.name.clone(), client, generation }
    }

    /// A server that holds polls, as orchestrators do.
    pub(super) async fn server(&self) -> ScriptedOrchestrator {
        let script = match self.generation {
            Generation::Older => Script::older(),
            Generation::Newer => Script::newer(),
        };
        ScriptedOrchestrator::start_with(script.hold(std::time::Duration::from_secs(30))).await
    }

    pub(super) fn start(&self, server: &ScriptedOrchestrator) -> Result<Peer, String> {
        let setting = Setting { generation: self.generation, slots: SLOTS };
        Peer::start(self.client.endless(&server.url(), setting)?)
    }
}
