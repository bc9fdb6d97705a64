//! The machine as it is reported.

use serde_json::json;

use super::*;

fn sent(config: &WorkerConfig) -> serde_json::Value {
    serde_json::to_value(config.resources()).expect("JSON")
}

#[test]
fn resources_are_those_of_the_options() {
    let nothing = json!({"cpu_cores": 4, "gpu_info": null, "ram_gb": 0.0, "devices": null});
    assert_eq!(sent(&config(&[])), nothing);
    let all = config(&[
        ("CPU_CORES", "8"),
        ("RAM_GB", "64"),
        ("GPU_MODEL", "RTX"),
        ("GPU_VRAM_GB", "24"),
        ("GPU_ID", "g1"),
        ("WORKER_DEVICES", r#"[{"type": "npu", "properties": {"arch": "x"}}]"#),
    ]);
    let card = json!({"type": "gpu", "model": "RTX", "id": "g1", "properties": {"memory_gb": 24.0}});
    let npu = json!({"type": "npu", "properties": {"arch": "x"}});
    let gpu = json!({"model": "RTX", "vram_gb": 24.0});
    assert_eq!(sent(&all), json!({"cpu_cores": 8, "gpu_info": gpu, "ram_gb": 64.0, "devices": [card, npu]}));
}

#[test]
fn resources_that_are_set_as_a_whole_replace_those_of_the_options() {
    let mut config = config(&[("GPU_MODEL", "RTX")]);
    let given = json!({"cpu_cores": 2, "gpu_info": null, "ram_gb": 1.5, "devices": [], "properties": {"disk": "big"}});
    config.set_resources(Some(serde_json::from_value(given.clone()).expect("resources")));
    assert_eq!(sent(&config), given);
    let card = json!({"cpu_cores": 2, "gpu_info": {"model": "T4", "vram_gb": 16}, "devices": null});
    config.set_resources(Some(serde_json::from_value(card).expect("resources")));
    let device = json!({"type": "gpu", "model": "T4", "id": "0", "properties": {"memory_gb": 16.0}});
    assert_eq!(sent(&config)["devices"], json!([device]));
    config.set_resources(None);
    assert_eq!(sent(&config)["gpu_info"]["model"], "RTX");
}

#[test]
fn wrong_lists_of_devices_and_artifacts_are_warnings() {
    for name in ["WORKER_DEVICES", "INSTALLED_ARTIFACTS"] {
        for text in ["garbage", "{}", "[5]"] {
            let config = config(&[(name, text), ("WORKER_TOKEN", "t")]);
            assert!(config.check().is_ok(), "{name}: {text}");
            let warnings = config.warnings();
            assert!(warnings.len() == 1 && warnings[0].contains(name), "{warnings:?}");
        }
    }
}

#[test]
fn the_name_and_the_address_can_be_set() {
    let set = config(&[("WORKER_HOSTNAME", "node-7"), ("WORKER_IP_ADDRESS", "10.0.0.7")]);
    assert_eq!((set.reported_hostname(), set.reported_ip_address()), ("node-7".into(), "10.0.0.7".into()));
    let unset = config(&[]);
    assert!(!unset.reported_hostname().is_empty());
    assert!(unset.reported_ip_address().parse::<std::net::IpAddr>().is_ok());
}
