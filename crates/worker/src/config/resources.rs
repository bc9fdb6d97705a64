//! The machine as it is reported to orchestrators: its resources, its name and its address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use rxon::model::{Device, GpuInfo};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::table::WorkerConfig;

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

impl WorkerConfig {
    /// The resources that are reported: those that were [set as a whole](Self::set_resources), else those of the options.
    pub fn resources(&self) -> MachineResources {
        self.history.resources.clone().unwrap_or_else(|| MachineResources {
            cpu_cores: u32::try_from(self.cpu_cores).unwrap_or(u32::MAX),
            gpu_info: self.gpu_model.clone().map(|model| GpuInfo { model, vram_gb: self.gpu_vram_gb }),
            ram_gb: self.ram_gb.unwrap_or_default(),
            devices: self.devices(),
            properties: BTreeMap::new(),
        })
    }

    /// Sets the resources that are reported, in place of those of the options. None restores the latter.
    pub fn set_resources(&mut self, resources: Option<MachineResources>) {
        self.history.resources = resources;
    }

    /// The host name that is reported.
    pub fn reported_hostname(&self) -> String {
        self.worker_hostname.clone().unwrap_or_else(hostname)
    }

    /// The IP address that is reported.
    pub fn reported_ip_address(&self) -> String {
        self.worker_ip_address.clone().unwrap_or_else(ip_address)
    }

    /// The graphics card of `GPU_MODEL`, then the devices of `WORKER_DEVICES`. None if there are neither.
    fn devices(&self) -> Option<Vec<Device>> {
        let card = self.gpu_model.clone().map(|model| Device {
            kind: "gpu".to_owned(),
            model: Some(model),
            id: Some(self.gpu_id.clone()),
            properties: [("memory_gb".to_owned(), json!(self.gpu_vram_gb))].into(),
        });
        let devices: Vec<_> = card.into_iter().chain(self.worker_devices.iter().cloned()).collect();
        (!devices.is_empty()).then_some(devices)
    }
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
