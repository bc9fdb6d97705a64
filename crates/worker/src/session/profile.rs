//! The worker's description of itself, and the registrations and heartbeats that send it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rxon::WorkerId;
use rxon::model::{
    Artifact, Capabilities, Heartbeat, InstalledModel, Registration, RegistrationMetadata, Resources,
    Usage as MachineUsage, WorkerStatus,
};
use serde_json::{Value, json};

use crate::capacity::{Catalogue, Offer};
use crate::config::{MachineResources, hostname, ip_address};
use crate::execution::running::Running;
use crate::session::Session;
use crate::session::usage::UsageSource;
use crate::threads::lock;

/// The worker's description of itself. It never changes, except for the skills and the machine's telemetry.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) worker_id: WorkerId,
    pub(crate) worker_type: String,
    /// A random text, by which another process with the same id is noticed.
    pub(crate) instance: String,
    pub(crate) skills_hash: SkillsHash,
    pub(crate) advertised: Advertised,
    pub(crate) usage: Arc<UsageSource>,
}

/// A hash of the skills, costs and further capabilities, and the number of skills in it; `None` until it is needed.
#[derive(Debug, Default)]
pub(crate) struct SkillsHash(Mutex<Option<(usize, Option<String>)>>);

/// The options of the configuration that are sent to orchestrators as they are.
#[derive(Debug, Default)]
pub(crate) struct Advertised {
    pub(crate) resources: MachineResources,
    /// The name and the address of the machine, where they are set.
    pub(crate) hostname: Option<String>,
    pub(crate) ip_address: Option<String>,
    pub(crate) installed_software: BTreeMap<String, String>,
    pub(crate) installed_models: Vec<InstalledModel>,
    /// The artifacts beside the models.
    pub(crate) installed_artifacts: Vec<Artifact>,
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
        if known.as_ref().is_none_or(|known| known.0 != catalogue.count()) {
            let skills = catalogue.skills();
            // Any stable hash will do: orchestrators only compare it with the last one.
            let object = json!({
                "skills": skills,
                "capabilities": self.advertised.cost_per_skill,
                "extra": self.advertised.extra,
            });
            *known = Some((skills.len(), rxon::signing::skills_hash(object.to_string().as_bytes()).ok()));
        }
        known.as_ref().and_then(|known| known.1.clone())
    }

    /// The registration of the worker as it is now.
    pub(super) fn registration(&self, offer: &Offer) -> Registration {
        let advertised = &self.advertised;
        let resources = &advertised.resources;
        let mut properties =
            BTreeMap::from([("cpu_cores".to_owned(), json!(f64::from(resources.cpu_cores)))]);
        let memory =
            (resources.ram_gb > 0.0).then_some(resources.ram_gb).or_else(|| self.usage.machine.memory());
        properties.extend(memory.map(|memory| ("ram_gb".to_owned(), json!(memory))));
        properties.extend(resources.properties.clone());
        Registration {
            worker_id: self.worker_id.clone(),
            worker_type: self.worker_type.clone(),
            available_skills: offer.accepted(&offer.slots.usage()),
            hot_skills: offer.hot_skills(),
            supported_tasks: offer.catalogue.names(),
            supported_skills: offer.catalogue.skills(),
            resources: Resources {
                max_concurrent_tasks: offer.slots.limit(),
                cpu_cores: resources.cpu_cores,
                gpu_info: resources.gpu_info.clone(),
                devices: resources.devices.clone().unwrap_or_else(|| self.usage.machine.devices()),
                properties,
            },
            installed_software: advertised.installed_software.clone(),
            installed_models: advertised.installed_models.clone(),
            installed_artifacts: artifacts(advertised),
            capabilities: Capabilities {
                hostname: advertised.hostname.clone().unwrap_or_else(hostname),
                ip_address: advertised.ip_address.clone().unwrap_or_else(ip_address),
                cost_per_skill: advertised.cost_per_skill.clone(),
                s3_config_hash: advertised.s3_config_hash.clone(),
                websockets: advertised.websockets,
                extra: advertised.extra.clone(),
            },
            skills_hash: self.skills_hash(&offer.catalogue),
            metadata: Some(RegistrationMetadata { instance: self.instance.clone() }),
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
}

/// The artifacts, and the models that are not among them, in the form of the newer generation.
fn artifacts(advertised: &Advertised) -> Vec<Artifact> {
    let listed = &advertised.installed_artifacts;
    let is_listed = |model: &InstalledModel| {
        listed.iter().any(|artifact| artifact.name == model.name && artifact.version == model.version)
    };
    let models = advertised.installed_models.iter().filter(|model| !is_listed(model)).map(|model| Artifact {
        name: model.name.clone(),
        version: model.version.clone(),
        kind: Some("model".to_owned()),
        properties: BTreeMap::new(),
    });
    listed.iter().cloned().chain(models).collect()
}
