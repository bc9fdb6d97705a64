//! What a worker says of itself.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use rxon::TaskName;
use rxon::model::{Artifact, Capabilities, Device, GpuInfo, Registration, Resources, SkillInfo};
use serde_json::json;

use crate::config::WorkerConfig;
use crate::core::Core;
use crate::execution::router::Router;

/// What the worker can run, with what is known of it. The same for the life of a worker.
#[derive(Debug)]
pub(crate) struct Skills {
    pub(crate) infos: Vec<SkillInfo>,
    pub(crate) hash: Option<String>,
}

impl Skills {
    pub(crate) fn new(router: &Router, config: &WorkerConfig) -> Self {
        let infos: Vec<_> = router.labelled().map(|(name, label)| skill(router, name, label)).collect();
        // Any stable hash serves: the orchestrator compares it with the last one only.
        let object = json!({
            "skills": infos, "capabilities": config.cost_per_skill, "extra": config.extra_capabilities()
        });
        let hash = rxon::signing::skills_hash(object.to_string().as_bytes()).ok();
        Self { infos, hash }
    }
}

fn skill(router: &Router, name: &TaskName, label: Option<&str>) -> SkillInfo {
    let route = router.get(name);
    let described = route.map(|route| (*route.described).clone()).unwrap_or_default();
    let raw = |schema: Option<serde_json::Value>| {
        schema.and_then(|schema| serde_json::value::to_raw_value(&schema).ok())
    };
    SkillInfo {
        name: name.clone(),
        kind: Some(label.unwrap_or(name.as_str()).to_owned()),
        description: described.description,
        version: described.version,
        input_schema: raw(described.input_schema),
        output_schema: raw(described.output_schema),
        output_statuses: described.output_statuses,
        events_schema: route.map(|route| route.events.as_sent().clone()).unwrap_or_default(),
    }
}

/// The registration of a worker as it is now.
pub(super) fn registration(core: &Core) -> Registration {
    let config = &core.config;
    let names: Vec<_> = core.router.names().cloned().collect();
    let gpu_info = config.gpu_model.clone().map(|model| GpuInfo { model, vram_gb: config.gpu_vram_gb });
    let artifacts = config.installed_models.iter().map(|model| Artifact {
        name: model.name.clone(),
        version: model.version.clone(),
        kind: Some("model".to_owned()),
    });
    let mut properties = BTreeMap::from([("cpu_cores".to_owned(), config.cpu_cores as f64)]);
    if let Some(memory) = core.telemetry.memory() {
        properties.insert("ram_gb".to_owned(), memory);
    }
    Registration {
        worker_id: core.worker_id.clone(),
        worker_type: core.worker_type.clone(),
        available_skills: core.accepted(&core.slots.usage()),
        hot_skills: core.hot_skills(),
        supported_tasks: names,
        supported_skills: core.skills.infos.clone(),
        resources: Resources {
            max_concurrent_tasks: core.slots.limit(),
            cpu_cores: u32::try_from(config.cpu_cores).unwrap_or(u32::MAX),
            gpu_info,
            devices: devices(core),
            properties,
        },
        installed_software: config.installed_software.clone(),
        installed_models: config.installed_models.clone(),
        installed_artifacts: artifacts.collect(),
        capabilities: capabilities(core),
        skills_hash: core.skills.hash.clone(),
    }
}

/// What is configured counts; the machine's own cards where nothing is.
fn devices(core: &Core) -> Vec<Device> {
    let Some(model) = core.config.gpu_model.clone() else { return core.telemetry.devices() };
    let properties = [("vram_gb".to_owned(), core.config.gpu_vram_gb)].into();
    vec![Device { kind: "gpu".to_owned(), model: Some(model), id: None, properties }]
}

/// What the worker can do beside its tasks. Heartbeats repeat it whole while a websocket is open.
pub(super) fn capabilities(core: &Core) -> Capabilities {
    Capabilities {
        hostname: hostname(),
        ip_address: address().to_string(),
        cost_per_skill: core.config.cost_per_skill.clone(),
        s3_config_hash: s3_config_hash(&core.config),
        websockets: core.config.worker_enable_websockets,
        extra: core.config.extra_capabilities().clone(),
    }
}

/// The same for workers that use the same storage; the newer orchestrator says so when they differ (1.0b17).
fn s3_config_hash(config: &WorkerConfig) -> Option<String> {
    let (endpoint, key) = (config.s3_endpoint_url.as_ref()?, config.s3_access_key.as_ref()?);
    let parts = [endpoint.expose(), key.expose(), &config.s3_default_bucket];
    if parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    Some(rxon::signing::s3_config_hash(parts))
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

/// The address this machine would be reached at: that of the interface a packet to the outside would leave by.
/// Nothing is sent.
fn address() -> IpAddr {
    let unknown = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let Ok(socket) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) else { return unknown };
    // An address reserved for documentation: connecting a datagram socket only looks up the route.
    match socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).and_then(|()| socket.local_addr()) {
        Ok(address) => address.ip(),
        Err(_) => unknown,
    }
}
