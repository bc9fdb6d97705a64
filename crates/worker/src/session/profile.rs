//! The worker's description of itself, and the registrations and heartbeats that send it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};

use rxon::WorkerId;
use rxon::model::{
    Artifact, Capabilities, Device, GpuInfo, Heartbeat, InstalledModel, Registration, Resources,
    Usage as MachineUsage, WorkerStatus,
};
use serde_json::{Value, json};

use crate::capacity::{Catalogue, Offer};
use crate::execution::running::Running;
use crate::session::Session;
use crate::session::usage::UsageSource;
use crate::threads::lock;

/// The worker's description of itself. It never changes, except for the skills and the machine's telemetry.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) worker_id: WorkerId,
    pub(crate) worker_type: String,
    pub(crate) skills_hash: SkillsHash,
    pub(crate) advertised: Advertised,
    pub(crate) usage: Arc<UsageSource>,
}

/// A hash of the skills, costs and further capabilities, and the number of skills in it.
#[derive(Debug, Default)]
pub(crate) struct SkillsHash(Mutex<(usize, Option<String>)>);

/// The options of the configuration that are sent to orchestrators as they are.
#[derive(Debug, Default)]
pub(crate) struct Advertised {
    pub(crate) cpu_cores: usize,
    pub(crate) gpu: Option<GpuInfo>,
    pub(crate) installed_software: BTreeMap<String, String>,
    pub(crate) installed_models: Vec<InstalledModel>,
    pub(crate) cost_per_skill: BTreeMap<String, f64>,
    /// Orchestrators compare it between workers; `None` without a shared storage.
    pub(crate) s3_config_hash: Option<String>,
    pub(crate) websockets: bool,
    /// Further capabilities, set in code.
    pub(crate) extra: BTreeMap<String, Value>,
}

impl Profile {
    /// The hash of the skills as they are now. It is calculated again only when tasks were added.
    fn skills_hash(&self, catalogue: &Catalogue) -> Option<String> {
        let mut known = lock(&self.skills_hash.0);
        if known.0 != catalogue.count() {
            let skills = catalogue.skills();
            // Any stable hash will do: orchestrators only compare it with the last one.
            let object = json!({
                "skills": skills,
                "capabilities": self.advertised.cost_per_skill,
                "extra": self.advertised.extra,
            });
            *known = (skills.len(), rxon::signing::skills_hash(object.to_string().as_bytes()).ok());
        }
        known.1.clone()
    }

    /// The registration of the worker as it is now.
    pub(super) fn registration(&self, offer: &Offer) -> Registration {
        let advertised = &self.advertised;
        let mut properties = BTreeMap::from([("cpu_cores".to_owned(), advertised.cpu_cores as f64)]);
        if let Some(memory) = self.usage.machine.memory() {
            properties.insert("ram_gb".to_owned(), memory);
        }
        Registration {
            worker_id: self.worker_id.clone(),
            worker_type: self.worker_type.clone(),
            available_skills: offer.accepted(&offer.slots.usage()),
            hot_skills: offer.hot_skills(),
            supported_tasks: offer.catalogue.names(),
            supported_skills: offer.catalogue.skills(),
            resources: Resources {
                max_concurrent_tasks: offer.slots.limit(),
                cpu_cores: u32::try_from(advertised.cpu_cores).unwrap_or(u32::MAX),
                gpu_info: advertised.gpu.clone(),
                devices: self.devices(),
                properties,
            },
            installed_software: advertised.installed_software.clone(),
            installed_models: advertised.installed_models.clone(),
            installed_artifacts: advertised.installed_models.iter().map(artifact).collect(),
            capabilities: Capabilities {
                hostname: hostname(),
                ip_address: address().to_string(),
                cost_per_skill: advertised.cost_per_skill.clone(),
                s3_config_hash: advertised.s3_config_hash.clone(),
                websockets: advertised.websockets,
                extra: advertised.extra.clone(),
            },
            skills_hash: self.skills_hash(&offer.catalogue),
        }
    }

    /// The heartbeat of the worker as it is now, for the orchestrator of this session. `capabilities` are those of the
    /// registration, repeated while a websocket is open; `wants_skills` is true if the orchestrator asked for the skills.
    pub(super) fn heartbeat(
        &self,
        offer: &Offer,
        running: &Running,
        session: &Session,
        usage_of_machine: Option<MachineUsage>,
        capabilities: Option<&Capabilities>,
        wants_skills: bool,
    ) -> Heartbeat {
        let peer = &session.origin.peer;
        let generation = peer.generation();
        // Read once: the data path goes on meanwhile, and the fields of one heartbeat must agree.
        let usage = offer.slots.usage();
        let accepted = session.accepted(offer, &usage);
        let (mut current_tasks, jobs) = running.ids_from(session.origin.orchestrator);
        if generation.looks_up_jobs() {
            // 1.0b17 looks them up as job ids when it decides which to cancel; 1.0b2 shows them to people.
            current_tasks.extend(jobs);
        }
        Heartbeat {
            worker_id: self.worker_id.clone(),
            status: if accepted.is_empty() { WorkerStatus::Busy } else { WorkerStatus::Idle },
            load: usage.running as f64,
            current_tasks,
            supported_tasks: accepted.clone(),
            available_skills: accepted,
            hot_cache: offer.hot_cache.models(),
            skill_dependencies: offer.dependencies_as_sent(),
            hot_skills: offer.hot_skills(),
            skills_hash: if generation.reads_skills_and_usage() {
                self.skills_hash(&offer.catalogue)
            } else {
                None
            },
            supported_skills: wants_skills.then(|| offer.catalogue.skills()),
            usage: usage_of_machine,
            capabilities: capabilities.filter(|_| peer.has_websocket()).cloned(),
        }
    }

    /// The configured graphics card; the machine's own cards when none is configured.
    fn devices(&self) -> Vec<Device> {
        let Some(gpu) = &self.advertised.gpu else { return self.usage.machine.devices() };
        let properties = [("vram_gb".to_owned(), gpu.vram_gb)].into();
        vec![Device { kind: "gpu".to_owned(), model: Some(gpu.model.clone()), id: None, properties }]
    }
}

/// A model in the form of the newer generation.
fn artifact(model: &InstalledModel) -> Artifact {
    Artifact { name: model.name.clone(), version: model.version.clone(), kind: Some("model".to_owned()) }
}

fn hostname() -> String {
    let from_kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    std::env::var("HOSTNAME")
        .ok()
        .or_else(from_kernel)
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// The address of the network interface that leads to the outside. Nothing is sent.
fn address() -> IpAddr {
    let unknown = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let Ok(socket) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) else { return unknown };
    // An address reserved for documentation: connecting a datagram socket only looks up the route.
    match socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).and_then(|()| socket.local_addr()) {
        Ok(address) => address.ip(),
        Err(_) => unknown,
    }
}
