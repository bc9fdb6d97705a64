//! The machine as it is reported to orchestrators: its resources, its name and its address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use rxon::model::{Device, GpuInfo};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The resources of the machine, as reported to orchestrators.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "an object with `cpu_cores`, `ram_gb`, `gpu_info`, `devices` and `properties`")]
#[non_exhaustive]
pub struct MachineResources {
    /// The number of processor cores.
    #[serde(default = "one")]
    pub cpu_cores: u32,
    /// The graphics card, for older orchestrators.
    #[serde(default)]
    pub gpu_info: Option<GpuInfo>,
    /// The memory in GB; 0 for what is measured.
    #[serde(default)]
    pub ram_gb: f64,
    /// The computing devices, for newer orchestrators. None for the machine's own graphics cards.
    #[serde(default)]
    pub devices: Option<Vec<Device>>,
    /// Other properties, for newer orchestrators.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, Value>,
}

fn one() -> u32 {
    1
}

/// The name of the machine.
pub(crate) fn hostname() -> String {
    let from_kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    std::env::var("HOSTNAME")
        .ok()
        .or_else(from_kernel)
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// The address of the network interface that leads to the outside. Nothing is sent.
pub(crate) fn ip_address() -> String {
    let unknown = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let route = || {
        // An address reserved for documentation: connecting a datagram socket only looks up the route.
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
        socket.local_addr().ok()
    };
    route().map_or(unknown, |address| address.ip()).to_string()
}
