//! Everything a registration and a heartbeat carries.

use avtomatika_worker::prelude::*;
use serde_json::{Value, json};
use testkit::{Answer, Endpoint, Script, ScriptedOrchestrator};

use crate::support::{Running, config, run, told, until, wait_for_heartbeat};

const EVERYTHING: [(&str, &str); 16] = [
    ("WORKER_TYPE", "gpu-worker"),
    ("CPU_CORES", "12"),
    ("GPU_MODEL", "RTX 4090"),
    ("GPU_VRAM_GB", "24"),
    ("INSTALLED_SOFTWARE", r#"{"python": "3.11", "ffmpeg": "6"}"#),
    ("INSTALLED_MODELS", r#"[{"name": "upscaler", "version": "1.5"}]"#),
    ("COST_PER_SKILL", r#"{"resize": 0.05}"#),
    ("WORKER_EXTRA_GPU_COUNT", "2"),
    ("WORKER_EXTRA_RACK", "b-7"),
    ("WORKER_EXTRA_LABELS", r#"["a"]"#),
    ("S3_ENDPOINT_URL", "http://s3.local:9000"),
    ("S3_ACCESS_KEY", "AKIA"),
    ("S3_SECRET_KEY", "hidden"),
    ("S3_DEFAULT_BUCKET", "bucket"),
    ("WORKER_ENABLE_WEBSOCKETS", "false"),
    ("WORKER_TELEMETRY_DEADBAND", "100"),
];

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[expect(dead_code, reason = "it is its schema that is looked at")]
struct Resize {
    width: u32,
    source: Option<String>,
}

#[derive(serde::Serialize, schemars::JsonSchema)]
struct Resized {
    pixels: u32,
}

async fn resize(Params(size): Params<Resize>, context: TaskContext) -> Json<Resized> {
    context.add_to_hot_cache("upscaler");
    Json(Resized { pixels: size.width })
}

async fn everything(script: Script) -> (ScriptedOrchestrator, Running) {
    let orchestrator = ScriptedOrchestrator::start_with(script).await;
    let options = TaskOptions::new()
        .limit_group("gpu")
        .description("Makes a picture smaller.")
        .version("1.2.0")
        .schemas::<Resize, Resized>()
        .output_statuses(["success", "too_small"])
        .event("note", json!({"type": "object"}));
    let builder = Worker::builder()
        .task_with("resize", options, resize)
        .task("plain", async || ())
        .skill_dependencies("resize", ["upscaler"]);
    let worker = builder.config(config(&orchestrator.url(), &EVERYTHING)).build().expect("a worker");
    (orchestrator, Running::start(worker))
}

#[tokio::test]
async fn a_registration_carries_everything_for_both_generations() {
    for script in [Script::older(), Script::newer()] {
        let (orchestrator, _worker) = everything(script).await;
        let body = orchestrator.wait_for_requests(Endpoint::Register, 1).await[0].json();
        assert_eq!(body["worker_type"], "gpu-worker");
        assert_eq!(body["supported_tasks"], json!(["resize", "plain"]));
        assert_eq!(body["available_skills"], json!(["resize", "plain"]));
        let skill = &body["supported_skills"][0];
        assert_eq!(
            (&skill["name"], &skill["type"], &skill["description"], &skill["version"]),
            (&json!("resize"), &json!("gpu"), &json!("Makes a picture smaller."), &json!("1.2.0"))
        );
        assert_eq!(skill["output_statuses"], json!(["success", "too_small"]));
        assert_eq!(skill["events_schema"], json!({"note": {"type": "object"}}));
        assert_eq!(skill["input_schema"]["properties"]["width"]["type"], "integer");
        assert_eq!(skill["input_schema"]["required"], json!(["width"]));
        assert_eq!(skill["output_schema"]["required"], json!(["pixels"]));
        assert_eq!(body["supported_skills"][1], json!({"name": "plain", "type": "plain"}));
        let resources = &body["resources"];
        assert_eq!((&resources["max_concurrent_tasks"], &resources["cpu_cores"]), (&json!(10), &json!(12)));
        assert_eq!(resources["gpu_info"], json!({"model": "RTX 4090", "vram_gb": 24.0}));
        let device =
            json!({"type": "gpu", "model": "RTX 4090", "id": "0", "properties": {"memory_gb": 24.0}});
        assert_eq!(resources["devices"], json!([device]));
        assert_eq!(resources["properties"]["cpu_cores"], json!(12.0));
        assert!(resources["properties"]["ram_gb"].as_f64().is_some_and(|memory| memory > 0.0), "{resources}");
        assert_eq!(body["installed_software"], json!({"python": "3.11", "ffmpeg": "6"}));
        assert_eq!(body["installed_models"], json!([{"name": "upscaler", "version": "1.5"}]));
        assert_eq!(
            body["installed_artifacts"],
            json!([{"name": "upscaler", "version": "1.5", "type": "model"}])
        );
        let capabilities = &body["capabilities"];
        assert_eq!(capabilities["cost_per_skill"], json!({"resize": 0.05}));
        assert_eq!(capabilities["extra"], json!({"gpu_count": 2, "rack": "b-7", "labels": ["a"]}));
        assert_eq!(capabilities["s3_config_hash"], "68591be4e83fe32e");
        assert_eq!(capabilities["websockets"], false);
        assert!(capabilities["hostname"].as_str().is_some_and(|name| !name.is_empty()));
        assert_eq!(body["skills_hash"].as_str().map(str::len), Some(64));
        assert!(!body.to_string().contains("hidden"), "{body}");
    }
}

#[tokio::test]
async fn heartbeats_carry_the_hash_of_the_skills_and_how_busy_the_machine_is() {
    let (orchestrator, _worker) = everything(Script::newer()).await;
    let hash = orchestrator.wait_for_requests(Endpoint::Register, 1).await[0].json()["skills_hash"].clone();
    let first = wait_for_heartbeat(&orchestrator, |beat| beat["usage"].is_object()).await;
    assert_eq!(first["skills_hash"], hash);
    let usage = &first["usage"];
    assert!(usage["ram_used_gb"].as_f64().is_some_and(|used| used > 0.0), "{usage}");
    assert!(usage["cpu_load_percent"].as_f64().is_some_and(|load| (0.0..=100.0).contains(&load)), "{usage}");
    // Nothing changes by 100 points.
    let before = told(&orchestrator).len();
    until(|| told(&orchestrator).len() >= before + 3).await;
    let with_usage = told(&orchestrator).iter().filter(|beat| !beat.json()["usage"].is_null()).count();
    assert_eq!(with_usage, 1, "told once within 60 s");
    run(&orchestrator, "resize", json!({"width": 5})).await;
    let hot = wait_for_heartbeat(&orchestrator, |beat| beat["hot_cache"] == json!(["upscaler"])).await;
    assert_eq!(hot["hot_skills"], json!(["resize"]));
    assert_eq!(hot["skill_dependencies"], json!({"resize": ["upscaler"]}));
}

#[tokio::test]
async fn the_older_generation_is_spared_what_it_does_not_know() {
    let (orchestrator, _worker) = everything(Script::older()).await;
    until(|| told(&orchestrator).len() >= 3).await;
    for beat in told(&orchestrator) {
        let beat = beat.json();
        assert_eq!(
            (&beat["usage"], &beat["skills_hash"], &beat["supported_skills"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
    }
}

#[tokio::test]
async fn skills_are_sent_once_more_when_they_are_asked_for() {
    let (orchestrator, _worker) = everything(Script::newer()).await;
    wait_for_heartbeat(&orchestrator, |_| true).await;
    assert!(told(&orchestrator).iter().all(|beat| beat.json()["supported_skills"].is_null()));
    orchestrator
        .answer_next(Endpoint::Heartbeat, Answer::ok(json!({"status": "ok", "require_full_sync": true})));
    let whole = wait_for_heartbeat(&orchestrator, |beat| beat["supported_skills"].is_array()).await;
    let registration = orchestrator.requests(Endpoint::Register)[0].json();
    assert_eq!(whole["supported_skills"], registration["supported_skills"]);
    let seen = told(&orchestrator).len();
    until(|| told(&orchestrator).len() >= seen + 2).await;
    let times = told(&orchestrator).iter().filter(|beat| beat.json()["supported_skills"].is_array()).count();
    assert_eq!(times, 1, "once");
}

/// Orchestrator 1.0b30 on Redis makes a list of each empty object, and cannot read the record afterwards.
#[tokio::test]
async fn no_object_in_a_registration_is_empty() {
    let hollow = || json!({"nothing": {}, "list": [{}]});
    let builder = |config| {
        let options = TaskOptions::new().input_schema(json!({})).output_schema(json!({"properties": {}}));
        let options = options.event("note", json!({})).extra("properties", hollow());
        Worker::builder().task_with("typed", options, async || ()).task("plain", async || ()).config(config)
    };
    let variables = [
        ("INSTALLED_SOFTWARE", "{}"),
        ("COST_PER_SKILL", "{}"),
        ("INSTALLED_ARTIFACTS", r#"[{"name":"a","version":"1","properties":{}}]"#),
    ];
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer()).await;
    let worker = builder(config(&orchestrator.url(), &variables)).build().expect("a worker");
    let _worker = Running::start(worker);
    let body = orchestrator.wait_for_requests(Endpoint::Register, 1).await[0].json();
    assert_eq!(empty_objects(&body, "body"), Vec::<String>::new(), "{body}");
    let any = json!({"$comment": "any value"});
    let skill = &body["supported_skills"][0];
    assert_eq!((&skill["events_schema"]["note"], &skill["input_schema"]), (&any, &any));
    assert_eq!(run(&orchestrator, "typed", json!({})).await["status"], "success");
}

/// The places of empty objects.
fn empty_objects(value: &Value, place: &str) -> Vec<String> {
    match value {
        Value::Object(members) if members.is_empty() => vec![place.to_owned()],
        Value::Object(members) => {
            members.iter().flat_map(|(key, value)| empty_objects(value, &format!("{place}.{key}"))).collect()
        }
        Value::Array(items) => items.iter().flat_map(|item| empty_objects(item, place)).collect(),
        _ => Vec::new(),
    }
}
