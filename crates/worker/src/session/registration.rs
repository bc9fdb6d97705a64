//! The registration, as sent.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use rxon::model::{Capabilities, Registration, Resources};

use crate::capacity::Offer;
use crate::session::profile::Profile;

/// The registration of a worker as it is now.
pub(super) fn registration(profile: &Profile, offer: &Offer) -> Registration {
    let advertised = &profile.advertised;
    let mut properties = BTreeMap::from([("cpu_cores".to_owned(), advertised.cpu_cores as f64)]);
    if let Some(memory) = profile.machine.memory() {
        properties.insert("ram_gb".to_owned(), memory);
    }
    Registration {
        worker_id: profile.worker_id.clone(),
        worker_type: profile.worker_type.clone(),
        available_skills: offer.accepted(&offer.slots.usage()),
        hot_skills: offer.hot_skills(),
        supported_tasks: offer.catalogue.names().cloned().collect(),
        supported_skills: offer.catalogue.skills().to_vec(),
        resources: Resources {
            max_concurrent_tasks: offer.slots.limit(),
            cpu_cores: u32::try_from(advertised.cpu_cores).unwrap_or(u32::MAX),
            gpu_info: advertised.gpu.clone(),
            devices: profile.devices(),
            properties,
        },
        installed_software: advertised.installed_software.clone(),
        installed_models: advertised.installed_models.clone(),
        installed_artifacts: profile.artifacts(),
        capabilities: capabilities(profile),
        skills_hash: profile.skills_hash.clone(),
    }
}

/// The worker's capabilities beside its tasks, and where its machine is now: both change rarely, so heartbeats repeat
/// those of the registration.
fn capabilities(profile: &Profile) -> Capabilities {
    let advertised = &profile.advertised;
    Capabilities {
        hostname: hostname(),
        ip_address: address().to_string(),
        cost_per_skill: advertised.cost_per_skill.clone(),
        s3_config_hash: advertised.s3_config_hash.clone(),
        websockets: advertised.websockets,
        extra: advertised.extra.clone(),
    }
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

/// The address of the interface that a packet to the outside would leave by, where others can reach this machine.
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
