//! The real orchestrators accept every field of a registration and a heartbeat.

use e2e::{LIMIT, Orchestrator, Version, WorkerOptions, until};
use serde_json::{Value, json};

with_both_orchestrators!(all_capabilities_of_a_worker_are_accepted);

const EVERYTHING: [(&str, &str); 13] = [
    ("WORKER_TYPE", "gpu-worker"),
    ("MAX_CONCURRENT_TASKS", "3"),
    ("CPU_CORES", "12"),
    ("GPU_MODEL", "RTX 4090"),
    ("GPU_VRAM_GB", "24"),
    ("INSTALLED_SOFTWARE", r#"{"ffmpeg": "6"}"#),
    ("INSTALLED_MODELS", r#"[{"name": "upscaler", "version": "1.5"}]"#),
    ("COST_PER_SKILL", r#"{"hot": 0.05}"#),
    ("WORKER_EXTRA_RACK", "b-7"),
    ("WORKER_ENABLE_WEBSOCKETS", "true"),
    ("CONFORMANCE_SKILL_DEPENDENCIES", r#"{"hot": ["upscaler"], "echo": ["missing"]}"#),
    ("HEARTBEAT_INTERVAL", "0.5"),
    ("WORKER_TELEMETRY_DEADBAND", "0"),
];

fn all_capabilities_of_a_worker_are_accepted(version: Version) {
    let orchestrator = Orchestrator::start(version);
    let options = WorkerOptions::new(&orchestrator);
    let options = EVERYTHING.iter().fold(options, |options, (name, value)| options.with(name, value));
    let worker = options.start();
    let known = orchestrator.wait_for_worker_status(worker.id(), "idle");
    assert_eq!(known["worker_type"], "gpu-worker", "{known}");
    assert_eq!(known["installed_software"], json!({ "ffmpeg": "6" }), "{known}");
    assert_eq!(known["capabilities"]["cost_per_skill"], json!({ "hot": 0.05 }), "{known}");
    assert_eq!(known["capabilities"]["extra"]["rack"], "b-7", "{known}");
    let names = match version {
        Version::V1_0b12 => {
            assert_eq!(known["resources"]["max_concurrent_tasks"], 3, "{known}");
            assert_eq!(
                known["resources"]["gpu_info"],
                json!({ "model": "RTX 4090", "vram_gb": 24.0 }),
                "{known}"
            );
            assert_eq!(known["installed_models"][0]["name"], "upscaler", "{known}");
            known["supported_tasks"].as_array().cloned()
        }
        Version::V1_0b30 => {
            assert_eq!(known["resources"]["properties"]["cpu_cores"].as_f64(), Some(12.0), "{known}");
            assert_eq!(known["resources"]["devices"][0]["model"], "RTX 4090", "{known}");
            assert_eq!(known["installed_artifacts"][0]["name"], "upscaler", "{known}");
            let skills = known["supported_skills"].as_array().cloned();
            skills.map(|skills| skills.iter().map(|skill| skill["name"].clone()).collect())
        }
    };
    let names: Vec<Value> = names.unwrap_or_default();
    assert!(names.contains(&json!("hot")) && names.contains(&json!("video")), "{known}");

    let job = orchestrator.submit("hot", &json!({ "add": ["upscaler"] }));
    orchestrator.wait_for_status(&job, "finished");
    let known = until("the hot skill is known", LIMIT, || {
        orchestrator.worker(worker.id()).filter(|known| known["hot_skills"] == json!(["hot"]))
    });
    assert_eq!(known["hot_cache"], json!(["upscaler"]), "{known}");
    assert_eq!(known["skill_dependencies"]["echo"], json!(["missing"]), "{known}");
    if version == Version::V1_0b30 {
        until("telemetry arrives", LIMIT, || {
            let known = orchestrator.worker(worker.id())?;
            (known["usage"]["ram_used_gb"].as_f64()? > 0.0).then_some(())
        });
    }
}
