//! What a configuration reports of the machine.

use std::collections::BTreeMap;

use rxon::model::{Device, GpuInfo};
use serde_json::json;

use super::resources::{MachineResources, hostname, ip_address};
use super::table::WorkerConfig;

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
