//! What a worker says of itself.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use rxon::model::{Artifact, Capabilities, GpuInfo, Registration, Resources, SkillInfo};
use serde_json::json;

use crate::core::Core;

/// The registration of a worker as it is now.
pub(super) fn registration(core: &Core) -> Registration {
    let config = &core.config;
    let names: Vec<_> = core.router.names().cloned().collect();
    let skills: Vec<SkillInfo> = core
        .router
        .labelled()
        .map(|(name, label)| SkillInfo {
            name: name.clone(),
            kind: Some(label.unwrap_or(name.as_str()).to_owned()),
            description: None,
            input_schema: None,
            output_schema: None,
            events_schema: core
                .router
                .get(name)
                .map(|route| route.events.as_sent().clone())
                .unwrap_or_default(),
        })
        .collect();
    let gpu_info = config.gpu_model.clone().map(|model| GpuInfo { model, vram_gb: config.gpu_vram_gb });
    let artifacts = config.installed_models.iter().map(|model| Artifact {
        name: model.name.clone(),
        version: model.version.clone(),
        kind: Some("model".to_owned()),
    });
    let hash = skills_hash(&skills, &config.cost_per_skill);
    Registration {
        worker_id: core.worker_id.clone(),
        worker_type: core.worker_type.clone(),
        available_skills: core.accepted(&core.slots.usage()),
        hot_skills: core.hot_skills(),
        supported_tasks: names,
        supported_skills: skills,
        resources: Resources {
            max_concurrent_tasks: core.slots.limit(),
            cpu_cores: u32::try_from(config.cpu_cores).unwrap_or(u32::MAX),
            gpu_info,
            properties: BTreeMap::from([("cpu_cores".to_owned(), config.cpu_cores as f64)]),
        },
        installed_software: config.installed_software.clone(),
        installed_models: config.installed_models.clone(),
        installed_artifacts: artifacts.collect(),
        capabilities: capabilities(core),
        skills_hash: hash,
    }
}

/// What the worker can do beside its tasks. Heartbeats repeat it whole while a websocket is open.
pub(super) fn capabilities(core: &Core) -> Capabilities {
    Capabilities {
        hostname: hostname(),
        ip_address: address().to_string(),
        cost_per_skill: core.config.cost_per_skill.clone(),
        s3_config_hash: None,
        websockets: core.config.worker_enable_websockets,
        extra: BTreeMap::new(),
    }
}

/// Any stable hash serves: the orchestrator compares it with the last one only.
fn skills_hash(skills: &[SkillInfo], costs: &BTreeMap<String, f64>) -> Option<String> {
    let object = json!({"skills": skills, "capabilities": costs, "extra": {}});
    rxon::signing::skills_hash(object.to_string().as_bytes()).ok()
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
