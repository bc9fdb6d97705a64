//! Messages that are not entirely valid.

use rxon::model::{
    Capabilities, Command, Event, EventAnswer, FileMetadata, Heartbeat, Liveness, Progress, Registration,
    RegistrationAnswer, Resources, ResultAnswer, Task, TaskResult, Usage,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Returns a task with one field replaced.
fn task_with(field: &str, value: Value) -> Vec<u8> {
    let mut task = json!({"job_id": "j", "task_id": "t", "type": "x"});
    task[field] = value;
    task.to_string().into_bytes()
}

#[test]
fn a_mistyped_field_of_a_task_is_named_with_its_value_and_the_expected_one() {
    let (text, object, number) = ("a non-empty string", "an object", "a number");
    for (field, came, expected) in [
        ("job_id", json!(5), text),
        ("job_id", json!(""), text),
        ("job_id", json!(["j"]), text),
        ("task_id", json!({"a": 1}), text),
        ("task_id", json!(false), text),
        ("type", json!(7.5), text),
        ("type", json!(""), text),
        ("params", json!([1]), object),
        ("params", json!("{}"), object),
        ("params", json!(0), object),
        ("params", json!(true), object),
        ("priority", json!("high"), number),
        ("priority", json!([1]), number),
        ("priority", json!(false), number),
        ("deadline", json!("2026-01-01"), number),
        ("deadline", json!({}), number),
        ("tracing_context", json!(5), "an object of strings"),
        ("tracing_context", json!(["traceparent"]), "an object of strings"),
    ] {
        let error = Task::parse(&task_with(field, came.clone())).expect_err(field);
        assert_eq!(error.to_string(), format!("`{field}` is `{came}`, expected {expected}"));
        assert_eq!(error.ids.is_some(), !field.ends_with("_id"), "{error}: the ids are needed for an answer");
    }
}

#[test]
fn a_missing_field_of_a_task_is_named() {
    for missing in ["job_id", "task_id", "type"] {
        for absent in [true, false] {
            let mut body: Value = serde_json::from_slice(&task_with(missing, Value::Null)).unwrap();
            if absent {
                body.as_object_mut().unwrap().remove(missing);
            }
            let error = Task::parse(body.to_string().as_bytes()).expect_err(missing);
            assert_eq!(error.to_string(), format!("`{missing}` is missing"));
            assert_eq!(error.ids.is_some(), missing == "type");
        }
    }
}

#[test]
fn optional_parts_of_a_task_that_are_not_valid_are_left_out_and_named() {
    for (field, came, note) in [
        ("params_metadata", json!([]), "`params_metadata` is `[]`, expected an object"),
        ("params_metadata", json!("x"), "`params_metadata` is `\"x\"`, expected an object"),
        ("params_metadata", json!({"a": 5}), "params_metadata entry `a`: `5`"),
        ("params_metadata", json!({"a": {}}), "params_metadata entry `a`: `{}`"),
        ("params_metadata", json!({"a": {"uri": 1}}), "params_metadata entry `a`: `{\"uri\":1}`"),
        (
            "params_metadata",
            json!({"a": {"uri": "s3://b/k", "size": 1.5}}),
            "params_metadata entry `a`: `{\"size\":1.5,\"uri\":\"s3://b/k\"}`",
        ),
        ("tracing_context", json!({"traceparent": 5}), "tracing_context entry `traceparent`: `5`"),
    ] {
        let task = Task::parse(&task_with(field, came)).expect(note);
        assert_eq!(task.ignored, [note]);
        assert!(task.params_metadata.is_empty() && task.tracing_context.is_empty());
    }
}

#[test]
fn sizes_may_be_whole_floats() {
    for (size, read) in
        [("3.0", Some(3)), ("3", Some(3)), ("null", None), ("1e3", Some(1000)), ("0", Some(0))]
    {
        let text = format!(r#"{{"uri":"s3://b/k","size":{size},"etag":null,"metadata":{{}}}}"#);
        assert_eq!(serde_json::from_str::<FileMetadata>(&text).expect(size).size, read);
    }
    for size in ["-1", "-1.0", "0.5", "1e300", "\"3\"", "[]"] {
        let text = format!(r#"{{"uri":"s3://b/k","size":{size}}}"#);
        assert!(serde_json::from_str::<FileMetadata>(&text).is_err(), "{size}");
    }
}

#[test]
fn a_body_that_is_not_a_task_is_an_error_without_ids() {
    let whole = task_with("params", json!({"text": "ключ"}));
    let truncated = (0..whole.len()).map(|length| whole[..length].to_vec());
    let others: [&[u8]; 12] = [
        b"",
        b" \n",
        b"null",
        b"5",
        b"\"task\"",
        b"[]",
        br#"["j","t","x",{}]"#,
        b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>",
        b"{\"job_id\":\"j\",\"task_id\":\"t\",\"type\":\"x\"} trailing",
        b"{\"job_id\":\"\xff\xfe\",\"task_id\":\"t\",\"type\":\"x\"}",
        b"\x1f\x8b\x08\x00",
        b"{'job_id': 'j'}",
    ];
    for body in truncated.chain(others.map(<[u8]>::to_vec)) {
        let error = Task::parse(&body).expect_err("not a task");
        assert_eq!(error.ids, None, "{}", String::from_utf8_lossy(&body));
        assert!(error.to_string().len() < 300, "{error}");
    }
    assert!(Task::parse(&whole).is_ok());
}

#[test]
fn huge_and_deep_params_are_passed_on_unchanged() {
    let huge = format!(r#"{{"text":"{}"}}"#, "x".repeat(10 << 20));
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    for params in [huge, deep] {
        let body = format!(r#"{{"job_id":"j","params":{params},"task_id":"t","type":"x"}}"#);
        assert!(Task::parse(body.as_bytes()).expect("a task").params.get() == params);
    }
}

#[test]
fn mistyped_fields_of_answers_count_as_absent() {
    let answer: RegistrationAnswer =
        serde_json::from_value(json!({"status": 1, "version": 17, "warning": ["w"]})).unwrap();
    assert_eq!(answer, RegistrationAnswer::default());
    let answer: EventAnswer = serde_json::from_value(json!({"status": null, "code": 5})).unwrap();
    assert_eq!(answer, EventAnswer::default());
    let answer = ResultAnswer::read(br#"{"status":"ignored","reason":5,"transition":{}}"#);
    assert!(answer.is_ignored() && answer.reason.is_none(), "one bad field does not hide the others");
    for body in ["", "null", "[]", "[\"ignored\"]", "ok", "<html>", r#"{"status":["ignored"]}"#] {
        assert_eq!(ResultAnswer::read(body.as_bytes()), ResultAnswer::default(), "{body}");
    }
    for body in ["", "null", "[]", "5", "<html>"] {
        assert!(serde_json::from_str::<RegistrationAnswer>(body).is_err(), "{body} is not a registration");
        assert!(serde_json::from_str::<EventAnswer>(body).is_err(), "{body}");
    }
    for (body, ids) in [(r#"{"cancel_task_ids":[1,"a",null]}"#, 1), (r#"{"cancel_task_ids":{"a":1}}"#, 0)] {
        let Liveness::Known(answer) = Liveness::read(body.as_bytes()) else { panic!("{body}") };
        assert_eq!(answer.cancel_task_ids.len(), ids, "{body}");
    }
}

/// Checks that a message can be read with each of these fields missing, and with it null.
fn may_be_absent_or_null<T: Serialize + DeserializeOwned>(whole: &Value, optional: &[&str]) {
    for field in optional {
        let mut message = whole.clone();
        message[field] = Value::Null;
        serde_json::from_value::<T>(message.clone())
            .unwrap_or_else(|error| panic!("`{field}` null: {error}"));
        message.as_object_mut().unwrap().remove(*field);
        serde_json::from_value::<T>(message).unwrap_or_else(|error| panic!("no `{field}`: {error}"));
    }
}

#[test]
fn optional_fields_may_be_absent_or_null() {
    let golden = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let registration = golden(include_str!("../wire/registration.json"));
    may_be_absent_or_null::<Registration>(&registration, &["hot_skills", "skills_hash"]);
    may_be_absent_or_null::<Resources>(&registration["resources"], &["gpu_info", "devices", "properties"]);
    let optional = ["cost_per_skill", "s3_config_hash", "websockets", "extra"];
    may_be_absent_or_null::<Capabilities>(&registration["capabilities"], &optional);
    let heartbeat = golden(include_str!("../wire/heartbeat_1.0b17.json"));
    let optional = ["skill_dependencies", "hot_skills", "skills_hash", "usage", "capabilities"];
    may_be_absent_or_null::<Heartbeat>(&heartbeat, &optional);
    may_be_absent_or_null::<Usage>(
        &heartbeat["usage"],
        &["cpu_load_percent", "ram_used_gb", "devices_usage"],
    );
    let result = golden(include_str!("../wire/result_success.json"));
    may_be_absent_or_null::<TaskResult>(&result, &["data", "error", "data_metadata", "costs"]);
    let event = golden(include_str!("../wire/event_progress.json"));
    let optional =
        ["origin_task_id", "bubbling_chain", "target_job_id", "target_task_id", "trace_context", "priority"];
    may_be_absent_or_null::<Event>(&event, &optional);
    may_be_absent_or_null::<Progress>(&event["payload"], &["message"]);
    let command = golden(include_str!("../wire/command_cancel_task.json"));
    may_be_absent_or_null::<Command>(&command, &["task_id", "job_id", "params"]);
}

#[test]
fn a_mistyped_field_of_any_other_message_is_an_error_with_its_value() {
    let wrong = |error: serde_json::Error, came: &str| {
        assert!(error.to_string().contains(came), "{error}");
    };
    let mut result: Value = serde_json::from_str(include_str!("../wire/result_failure.json")).unwrap();
    result["error"]["code"] = json!(5);
    wrong(serde_json::from_value::<TaskResult>(result).unwrap_err(), "integer `5`");
    wrong(serde_json::from_value::<Command>(json!({"command": 5})).unwrap_err(), "integer `5`");
    wrong(serde_json::from_value::<Command>(json!({"task_id": "t"})).unwrap_err(), "`command`");
    wrong(serde_json::from_value::<Progress>(json!({"progress": "half"})).unwrap_err(), "string \"half\"");
    let mut heartbeat: Value = serde_json::from_str(include_str!("../wire/heartbeat_1.0b2.json")).unwrap();
    heartbeat["status"] = json!("sleepy");
    wrong(serde_json::from_value::<Heartbeat>(heartbeat).unwrap_err(), "`sleepy`");
}
