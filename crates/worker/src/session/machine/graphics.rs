//! The graphics cards of the machine, measured by NVIDIA's management library where it is installed.

pub(super) const GIB: f64 = (1u64 << 30) as f64;

/// The name of a device's metric for used memory.
pub(super) const MEMORY_USED: &str = "memory_used_gb";

/// Rounds to hundredths: more digits are noise.
pub(super) fn rounded(number: f64) -> f64 {
    if number.is_finite() { (number * 100.0).round() / 100.0 } else { 0.0 }
}

#[cfg(feature = "nvml")]
pub(crate) use nvml::Graphics;

#[cfg(not(feature = "nvml"))]
#[derive(Debug, Default)]
pub(crate) struct Graphics;

#[cfg(not(feature = "nvml"))]
impl Graphics {
    #[expect(clippy::unused_self, reason = "the other implementation uses it")]
    pub(crate) fn measure(&self) -> (Vec<rxon::model::Device>, Vec<rxon::model::DeviceUsage>) {
        Default::default()
    }
}

#[cfg(feature = "nvml")]
mod nvml {
    use std::cell::OnceCell;
    use std::collections::BTreeMap;

    use nvml_wrapper::Nvml;
    use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
    use nvml_wrapper::error::NvmlError;
    use rxon::model::{Device, DeviceUsage};
    use serde_json::Value;
    use tracing::debug;

    use crate::session::machine::graphics::{GIB, MEMORY_USED, rounded};

    /// Measures the cards. The library is loaded at the first measurement; if there is none, it is not tried again.
    #[derive(Debug, Default)]
    pub(crate) struct Graphics(OnceCell<Option<Nvml>>);

    impl Graphics {
        /// Returns the cards, and how busy each of them is.
        pub(crate) fn measure(&self) -> (Vec<Device>, Vec<DeviceUsage>) {
            let library = self.0.get_or_init(|| {
                Nvml::init()
                    .inspect_err(|error| debug!(%error, "no graphics cards: NVML is not available"))
                    .ok()
            });
            let Some(library) = library else { return Default::default() };
            let count = library.device_count().unwrap_or(0);
            // A card that fails must not hide the others.
            (0..count).filter_map(|index| card(library, index).ok()).unzip()
        }
    }

    fn card(library: &Nvml, index: u32) -> Result<(Device, DeviceUsage), NvmlError> {
        let card = library.device_by_index(index)?;
        let (id, memory) = (card.uuid()?, card.memory_info()?);
        let device = Device {
            kind: "gpu".to_owned(),
            model: card.name().ok(),
            id: Some(id.clone()),
            properties: [("vram_gb".to_owned(), rounded(memory.total as f64 / GIB))].into(),
        };
        let mut metrics =
            BTreeMap::from([(MEMORY_USED.to_owned(), Value::from(rounded(memory.used as f64 / GIB)))]);
        if let Ok(degrees) = card.temperature(TemperatureSensor::Gpu) {
            metrics.insert("temperature_c".to_owned(), degrees.into());
        }
        let load_percent = card.utilization_rates().map_or(0.0, |rates| f64::from(rates.gpu));
        Ok((device, DeviceUsage { unit_id: id, load_percent, metrics }))
    }
}
