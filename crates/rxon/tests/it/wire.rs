//! Golden messages: every type is written as exactly the golden JSON, and read from it.

use std::collections::BTreeMap;
use std::path::Path;

use rxon::model::{
    Artifact, Capabilities, Command, Costs, Device, DeviceUsage, ErrorCode, Event, EventAnswer, Failure,
    FileMetadata, Generation, GpuInfo, Heartbeat, HeartbeatAnswer, InstalledModel, Liveness, Progress,
    Registration, RegistrationAnswer, Resources, ResultAnswer, SkillInfo, Task, TaskResult, Usage,
    WorkerStatus,
};
use rxon::{JobId, TaskId, TaskName, WorkerId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire");

fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(FOLDER).join(format!("{name}.json"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Checks that a message is written as the golden message, and so is the message read from it.
fn passes_both_ways<T: Serialize + DeserializeOwned>(name: &str, message: &T) {
    let file = golden(name);
    let wanted: Value = serde_json::from_slice(&file).expect(name);
    assert_eq!(serde_json::to_value(message).expect(name), wanted, "{name}, written");
    let read: T = serde_json::from_slice(&file).expect(name);
    assert_eq!(serde_json::to_value(&read).expect(name), wanted, "{name}, read and written");
    // Unknown fields are no reason to refuse a message.
    let mut more = wanted.clone();
    more["of_tomorrow"] = json!({"x": [1]});
    let read: T = serde_json::from_value(more).expect(name);
    assert_eq!(serde_json::to_value(&read).expect(name), wanted, "{name}, with an unknown field");
}

fn received<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&golden(name)).expect(name)
}

fn worker() -> WorkerId {
    WorkerId::new("worker-1").unwrap()
}

fn job() -> JobId {
    JobId::received("job-1").unwrap()
}

fn task() -> TaskId {
    TaskId::received("task-1").unwrap()
}

fn names(names: &[&str]) -> Vec<TaskName> {
    names.iter().map(|name| TaskName::new(name).unwrap()).collect()
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn registration() -> Registration {
    let skill = SkillInfo {
        name: TaskName::new("resize_image").unwrap(),
        kind: Some("gpu".to_owned()),
        description: Some("Makes a picture smaller.".to_owned()),
        input_schema: Some(raw(
            r#"{"type":"object","properties":{"width":{"type":"integer","default":null}}}"#,
        )),
        output_schema: Some(raw(r#"{"type":"object"}"#)),
        version: None,
        output_statuses: None,
        events_schema: std::collections::BTreeMap::new(),
        extra: serde_json::Map::new(),
    };
    let plain = SkillInfo {
        name: TaskName::new("echo").unwrap(),
        kind: None,
        description: None,
        input_schema: None,
        output_schema: None,
        version: None,
        output_statuses: None,
        events_schema: std::collections::BTreeMap::new(),
        extra: serde_json::Map::new(),
    };
    let (name, version) = ("upscaler".to_owned(), "1.5".to_owned());
    Registration {
        worker_id: worker(),
        worker_type: "gpu-worker".to_owned(),
        supported_tasks: names(&["resize_image", "echo"]),
        supported_skills: vec![skill, plain],
        available_skills: names(&["resize_image", "echo"]),
        hot_skills: Some(names(&["resize_image"])),
        resources: Resources {
            max_concurrent_tasks: 10,
            cpu_cores: 4,
            gpu_info: Some(GpuInfo { model: "RTX 4090".to_owned(), vram_gb: 24.0 }),
            devices: vec![Device {
                kind: "gpu".to_owned(),
                model: Some("RTX 4090".to_owned()),
                id: Some("GPU-0".to_owned()),
                properties: [("memory_gb".to_owned(), json!(24.0))].into(),
            }],
            properties: [("cpu_cores".to_owned(), json!(4.0)), ("ram_gb".to_owned(), json!(15.5))].into(),
        },
        installed_software: [("python".to_owned(), "3.11".to_owned())].into(),
        installed_models: vec![InstalledModel { name: name.clone(), version: version.clone() }],
        installed_artifacts: vec![Artifact {
            name,
            version,
            kind: Some("model".to_owned()),
            properties: BTreeMap::new(),
        }],
        capabilities: Capabilities {
            cost_per_skill: [("resize_image".to_owned(), 0.05)].into(),
            s3_config_hash: Some("68591be4e83fe32e".to_owned()),
            extra: [("zone".to_owned(), json!("eu"))].into(),
            ..capabilities()
        },
        skills_hash: Some("e7e637ad898f28e35566b849c854b2803c5a751b054984a11c89efd668a55104".to_owned()),
        metadata: Some(rxon::model::RegistrationMetadata { instance: "5f".to_owned() }),
    }
}

fn capabilities() -> Capabilities {
    Capabilities {
        hostname: "node-1".to_owned(),
        ip_address: "10.0.0.7".to_owned(),
        cost_per_skill: BTreeMap::new(),
        s3_config_hash: None,
        websockets: true,
        extra: BTreeMap::new(),
    }
}

#[test]
fn registrations_are_one_message_for_both_generations() {
    passes_both_ways("registration", &registration());
    let minimal = Registration {
        worker_id: worker(),
        worker_type: "generic-cpu-worker".to_owned(),
        supported_tasks: Vec::new(),
        supported_skills: Vec::new(),
        available_skills: Vec::new(),
        hot_skills: None,
        resources: Resources {
            max_concurrent_tasks: 1,
            cpu_cores: 1,
            gpu_info: None,
            devices: Vec::new(),
            properties: BTreeMap::new(),
        },
        installed_software: BTreeMap::new(),
        installed_models: Vec::new(),
        installed_artifacts: Vec::new(),
        capabilities: Capabilities {
            hostname: "localhost".to_owned(),
            ip_address: "127.0.0.1".to_owned(),
            websockets: false,
            ..capabilities()
        },
        skills_hash: None,
        metadata: None,
    };
    passes_both_ways("registration_minimal", &minimal);
}

#[test]
fn heartbeats_of_both_generations() {
    let older = Heartbeat {
        worker_id: worker(),
        status: WorkerStatus::Busy,
        load: 2.0,
        current_tasks: texts(&["task-1", "task-2"]),
        supported_tasks: Vec::new(),
        available_skills: Vec::new(),
        hot_cache: texts(&["upscaler"]),
        skill_dependencies: Some([("resize_image".to_owned(), texts(&["upscaler"]))].into()),
        hot_skills: Some(names(&["resize_image"])),
        skills_hash: None,
        supported_skills: None,
        usage: None,
        capabilities: None,
    };
    passes_both_ways("heartbeat_1.0b2", &older);
    let newer = Heartbeat {
        status: WorkerStatus::Idle,
        load: 1.0,
        current_tasks: texts(&["task-1", "job-1"]),
        supported_tasks: names(&["resize_image"]),
        available_skills: names(&["resize_image"]),
        hot_cache: Vec::new(),
        skill_dependencies: None,
        hot_skills: Some(Vec::new()),
        skills_hash: Some("0f52dd1c36ffa11a15ddca95a296a55774c7e2a16bfd2b02855ac1ed7262b063".to_owned()),
        usage: Some(Usage {
            cpu_load_percent: 12.5,
            ram_used_gb: 3.25,
            devices_usage: vec![DeviceUsage {
                unit_id: "GPU-0".to_owned(),
                load_percent: 40.0,
                metrics: [
                    ("memory_used_gb".to_owned(), 6.5.into()),
                    ("temperature_c".to_owned(), 61.0.into()),
                ]
                .into(),
            }],
        }),
        capabilities: Some(capabilities()),
        ..older
    };
    passes_both_ways("heartbeat_1.0b17", &newer);
}

fn result(status: &str) -> TaskResult {
    TaskResult {
        job_id: job(),
        task_id: task(),
        worker_id: worker(),
        origin_worker_id: worker(),
        status: status.to_owned(),
        data: None,
        error: None,
        data_metadata: BTreeMap::new(),
        metadata: None,
        costs: None,
    }
}

fn file(uri: &str, size: Option<u64>, etag: Option<&str>) -> FileMetadata {
    FileMetadata { uri: uri.to_owned(), size, etag: etag.map(str::to_owned) }
}

#[test]
fn results_of_every_kind() {
    let data = r#"{"picture":"s3://photos/task-1/small.jpg","width":64,"nested":{"list":[null,0.1,"ключ"]}}"#;
    let picture = file("s3://photos/task-1/small.jpg", Some(1234), Some("d41d8cd98f00b204e9800998ecf8427e"));
    let success = TaskResult {
        data: Some(raw(data)),
        data_metadata: [
            ("picture".to_owned(), picture),
            ("tiles[0]".to_owned(), file("s3://photos/task-1/tiles/", None, None)),
        ]
        .into(),
        costs: Some(Costs { execution_time_seconds: 0.0249, ..Costs::default() }),
        ..result("success")
    };
    passes_both_ways("result_success", &success);
    let written = serde_json::to_string(&success).unwrap();
    assert!(written.contains(data), "data is sent unchanged to the byte: {written}");
    let failure = |code: &str, message: &str, details: Option<&str>| TaskResult {
        error: Some(Failure { code: code.into(), message: message.to_owned(), details: details.map(raw) }),
        ..result("failure")
    };
    let details = r#"{"problems":[{"path":"width","problem":"must be above 0"}]}"#;
    let wrong = failure("INVALID_INPUT_ERROR", "`width` must be above 0", Some(details));
    passes_both_ways("result_failure", &wrong);
    passes_both_ways("result_failure_of_own_code", &failure("OUT_OF_PAPER", "no paper", None));
    let review = TaskResult {
        data: Some(raw("{}")),
        costs: Some(Costs { execution_time_seconds: 1.5, ..Costs::default() }),
        ..result("needs_manual_review")
    };
    passes_both_ways("result_custom_status", &review);
    passes_both_ways("result_cancelled", &result("cancelled"));
}

#[test]
fn every_error_code_has_its_name() {
    for (code, name) in [
        (ErrorCode::Transient, "TRANSIENT_ERROR"),
        (ErrorCode::Permanent, "PERMANENT_ERROR"),
        (ErrorCode::InvalidInput, "INVALID_INPUT_ERROR"),
        (ErrorCode::IntegrityMismatch, "INTEGRITY_MISMATCH_ERROR"),
        (ErrorCode::Timeout, "TIMEOUT_ERROR"),
        (ErrorCode::ResourceExhausted, "RESOURCE_EXHAUSTED_ERROR"),
        (ErrorCode::Internal, "INTERNAL_ERROR"),
        (ErrorCode::LimitExceeded, "LIMIT_EXCEEDED_ERROR"),
        (ErrorCode::DependencyMissing, "DEPENDENCY_MISSING_ERROR"),
        (ErrorCode::Dependency, "DEPENDENCY_ERROR"),
        (ErrorCode::Security, "SECURITY_ERROR"),
        (ErrorCode::ContractViolation, "CONTRACT_VIOLATION_ERROR"),
        (ErrorCode::Other("LATE_RESULT".into()), "LATE_RESULT"),
    ] {
        assert_eq!(serde_json::to_value(&code).unwrap(), name);
        assert_eq!(serde_json::from_value::<ErrorCode>(json!(name)).unwrap(), code);
    }
}

#[test]
fn a_progress_event_and_its_answers() {
    let payload = Progress { progress: 0.5, message: "half".to_owned() };
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let event = Event {
        event_id: "6f9619ff-8b86-4011-b42d-00c04fc964ff".to_owned(),
        worker_id: worker(),
        origin_worker_id: worker(),
        event_type: Event::PROGRESS.to_owned(),
        payload: raw(&serde_json::to_string(&payload).unwrap()),
        origin_task_id: Some(task()),
        bubbling_chain: Vec::new(),
        target_job_id: Some(job()),
        target_task_id: Some(task()),
        trace_context: [("traceparent".to_owned(), traceparent.to_owned())].into(),
        priority: 0.0,
        metadata: None,
        timestamp: None,
        security: None,
    };
    passes_both_ways("event_progress", &event);
    assert_eq!(serde_json::from_str::<Progress>(event.payload.get()).unwrap(), payload);
    assert_eq!(received::<EventAnswer>("event_answer").status, "event_accepted");
    let refused: EventAnswer = received("event_answer_refused");
    assert_eq!(
        (refused.status.as_str(), refused.code.as_deref()),
        ("error", Some("CONTRACT_VIOLATION_ERROR"))
    );
}

#[test]
fn tasks_of_both_generations() {
    let older = Task::parse(&golden("task_1.0b2")).unwrap();
    assert_eq!(older.name.as_str(), "resize_image");
    assert_eq!(older.job_id.as_str(), "5f0c6f0e-3a0b-4a57-9a54-0b8c7f7a4a11");
    assert_eq!(older.task_id.as_str(), "1c9b9c9e-93f4-4b6a-8a0e-2a51cde4bd1f");
    assert!(older.params.get().contains(r#""ratio": 0.30000000000000004, "z": 1, "a": null"#));
    assert!(older.tracing_context.is_empty() && older.ignored.is_empty());
    assert_eq!((older.priority, older.deadline), (0.0, None));
    let picture = file("s3://photos/in.jpg", Some(204_800), Some("9e107d9d372bb6826bd81d3542a419d6"));
    let tiles = file("s3://photos/tiles/", Some(300), None);
    let wanted = BTreeMap::from([("picture".to_owned(), picture), ("nested.l[0]".to_owned(), tiles)]);
    assert_eq!(older.params_metadata, wanted);

    let newer = Task::parse(&golden("task_1.0b17")).unwrap();
    assert_eq!((newer.name.as_str(), newer.job_id.as_str()), ("slow", "6e156f73"));
    assert_eq!(newer.params.get(), r#"{"s": 20}"#);
    assert_eq!((newer.priority, newer.deadline), (5.0, Some(1_795_451_768.360_000_4)));
    assert_eq!(newer.params_metadata["s"], file("s3://b/k", Some(0), None));
    assert!(newer.tracing_context["traceparent"].starts_with("00-") && newer.ignored.is_empty());
}

#[test]
fn answers_to_registrations_tell_the_generation() {
    let older: RegistrationAnswer = received("registration_answer_1.0b2");
    assert_eq!((older.generation(), older.status.as_deref()), (Generation::Older, Some("registered")));
    let newer: RegistrationAnswer = received("registration_answer_1.0b17");
    assert_eq!((newer.generation(), newer.version.as_deref()), (Generation::Newer, Some("1.0b17")));
    assert!(newer.warning.as_deref().is_some_and(|warning| warning.contains("mismatch")));
}

#[test]
fn answers_to_heartbeats_of_both_generations() {
    let known = |name: &str| Liveness::read(&golden(name));
    let nothing = HeartbeatAnswer::default();
    assert_eq!(known("heartbeat_answer_1.0b2"), Liveness::Known(nothing.clone()));
    assert_eq!(known("heartbeat_answer_known"), Liveness::Known(nothing));
    assert_eq!(known("heartbeat_answer_forgotten"), Liveness::Forgotten);
    let asked = HeartbeatAnswer {
        cancel_task_ids: texts(&["job-1"]),
        require_full_sync: true,
        ..HeartbeatAnswer::default()
    };
    assert_eq!(known("heartbeat_answer_1.0b17"), Liveness::Known(asked));
}

#[test]
fn answers_to_results_of_both_generations() {
    let read = |name: &str| ResultAnswer::read(&golden(name));
    assert!(!read("result_answer_1.0b2").is_ignored());
    let accepted = read("result_answer_1.0b17");
    assert_eq!((accepted.is_ignored(), accepted.transition.as_deref()), (false, Some("success_transition")));
    let ignored = read("result_answer_ignored_1.0b17");
    assert_eq!((ignored.is_ignored(), ignored.reason.as_deref()), (true, Some("stale_task")));
}

#[test]
fn commands_of_orchestrators_and_of_users() {
    let cancel: Command = received("command_cancel_task");
    assert_eq!(
        (cancel.command.as_str(), cancel.task_id, cancel.job_id),
        ("cancel_task", Some(task()), Some(job()))
    );
    let reload: Command = received("command_of_user");
    assert_eq!((reload.command.as_str(), reload.task_id), ("reload", None));
    assert_eq!(reload.params.expect("params").get(), r#"{"model": "upscaler"}"#);
}

#[test]
fn every_golden_message_is_read_by_a_test() {
    let tests = include_str!("wire.rs");
    for entry in std::fs::read_dir(FOLDER).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(name) = name.strip_suffix(".json") {
            assert!(tests.contains(&format!("(\"{name}\"")), "`{name}.json` is not read by any test");
        }
    }
}
