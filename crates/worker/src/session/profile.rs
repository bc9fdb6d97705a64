//! What the worker says of itself: its identity, its machine and its advertised options.

use std::collections::BTreeMap;

use rxon::WorkerId;
use rxon::model::{Artifact, Device, GpuInfo, InstalledModel, SkillInfo};
use serde_json::{Value, json};

use crate::session::machine::Telemetry;

/// What the worker says of itself. The same for the life of a worker, but for the machine's telemetry.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) worker_id: WorkerId,
    pub(crate) worker_type: String,
    /// Changes whenever skills, costs or further capabilities do.
    pub(crate) skills_hash: Option<String>,
    pub(crate) advertised: Advertised,
    pub(crate) machine: Telemetry,
}

/// The options of the configuration that are sent to orchestrators as they are.
#[derive(Debug, Default)]
pub(crate) struct Advertised {
    pub(crate) cpu_cores: usize,
    pub(crate) gpu: Option<GpuInfo>,
    pub(crate) installed_software: BTreeMap<String, String>,
    pub(crate) installed_models: Vec<InstalledModel>,
    pub(crate) cost_per_skill: BTreeMap<String, f64>,
    /// Orchestrators compare it between workers; None without a shared storage.
    pub(crate) s3_config_hash: Option<String>,
    pub(crate) websockets: bool,
    /// Further capabilities, set in code.
    pub(crate) extra: BTreeMap<String, Value>,
}

impl Profile {
    /// The profile of a worker with these skills.
    pub(crate) fn new(
        worker_id: WorkerId,
        worker_type: String,
        skills: &[SkillInfo],
        advertised: Advertised,
    ) -> Self {
        // Any stable hash serves: orchestrators only compare it with the last one.
        let object = json!({
            "skills": skills, "capabilities": advertised.cost_per_skill, "extra": advertised.extra
        });
        let skills_hash = rxon::signing::skills_hash(object.to_string().as_bytes()).ok();
        Self { worker_id, worker_type, skills_hash, advertised, machine: Telemetry::default() }
    }

    /// The configured graphics card; the machine's own cards when none is configured.
    pub(super) fn devices(&self) -> Vec<Device> {
        let Some(gpu) = &self.advertised.gpu else { return self.machine.devices() };
        let properties = [("vram_gb".to_owned(), gpu.vram_gb)].into();
        vec![Device { kind: "gpu".to_owned(), model: Some(gpu.model.clone()), id: None, properties }]
    }

    /// The installed models, in the form of the newer generation.
    pub(super) fn artifacts(&self) -> Vec<Artifact> {
        let models = self.advertised.installed_models.iter();
        models
            .map(|model| Artifact {
                name: model.name.clone(),
                version: model.version.clone(),
                kind: Some("model".to_owned()),
            })
            .collect()
    }
}
