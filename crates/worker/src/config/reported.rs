//! The report of the machine, made from a configuration.

use std::collections::BTreeMap;

use rxon::model::{Device, GpuInfo};
use serde_json::json;

use super::resources::{MachineResources, hostname, ip_address};
use super::table::WorkerConfig;

impl WorkerConfig {
    /// The resources that are reported: those that were [set as a whole](Self::set_resources), else those of the options.
    pub fn resources(&self) -> MachineResources {
        if let Some(mut set) = self.history.resources.clone() {
            set.devices =
                set.devices.or_else(|| set.gpu_info.as_ref().map(|card| vec![self.graphics_card(card)]));
            return set;
        }
        let gpu_info = self.gpu_model.clone().map(|model| GpuInfo { model, vram_gb: self.gpu_vram_gb });
        let card = gpu_info.as_ref().map(|card| self.graphics_card(card));
        let devices: Vec<_> = card.into_iter().chain(self.worker_devices.iter().cloned()).collect();
        MachineResources {
            cpu_cores: u32::try_from(self.cpu_cores).unwrap_or(u32::MAX),
            gpu_info,
            ram_gb: self.ram_gb.unwrap_or_default(),
            devices: (!devices.is_empty()).then_some(devices),
            properties: BTreeMap::new(),
        }
    }

    /// Sets the resources that are reported, in place of those of the options. None restores the latter. A graphics card
    /// without devices is reported as a device, too.
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

    /// A graphics card in the form of the newer generation.
    fn graphics_card(&self, card: &GpuInfo) -> Device {
        Device {
            kind: "gpu".to_owned(),
            model: Some(card.model.clone()),
            id: Some(self.gpu_id.clone()),
            properties: [("memory_gb".to_owned(), json!(card.vram_gb))].into(),
        }
    }
}
