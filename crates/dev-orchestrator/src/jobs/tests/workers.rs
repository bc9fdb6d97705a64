//! Workers and their skills as they are shown.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::store::About;

fn shown(bench: &Bench, id: &str) -> Option<Value> {
    let view = bench.jobs.worker(&worker(id), bench.now)?;
    Some(serde_json::to_value(view).expect("JSON"))
}

fn skills(bench: &Bench) -> Value {
    serde_json::to_value(bench.jobs.store().skills()).expect("JSON")
}

fn described(schema: &str) -> Vec<(TaskName, About)> {
    let schema = RawValue::from_string(schema.to_owned()).expect("JSON");
    let about = About {
        description: Some("makes x".to_owned()),
        input_schema: Some(schema.into()),
        ..About::default()
    };
    vec![(TaskName::new("x").expect("an identifier"), about)]
}

#[test]
fn a_worker_that_was_given_up_is_shown_for_an_hour() {
    let mut bench = Bench::new();
    assert!(shown(&bench, "w").is_none());
    bench.register("w", &["x"]);
    bench.poll("w");
    bench.submit(NewTask::new("x"));
    bench.take_one();
    let view = shown(&bench, "w").expect("known");
    assert_eq!((&view["status"], &view["slots"]), (&json!("idle"), &json!({"used": 1, "total": null})));
    bench.pass(60);
    let view = shown(&bench, "w").expect("remembered");
    assert_eq!(
        (&view["status"], &view["running"], &view["accepts"]),
        (&json!("gone"), &json!([]), &json!([]))
    );
    assert_eq!(view["last_heard"], 60.0);
    assert_eq!(bench.jobs.workers(bench.now).len(), 0);
    bench.pass(3600);
    assert!(shown(&bench, "w").is_some());
    bench.pass(1);
    assert!(shown(&bench, "w").is_none());
    bench.register("w", &["x"]);
    assert_eq!(shown(&bench, "w").expect("it came back")["status"], "idle");
}

#[test]
fn heartbeats_and_websockets_are_shown_and_published() {
    let mut bench = Bench::new();
    bench.act(|jobs, _| jobs.on_websocket(&worker("w"), true));
    assert_eq!(bench.events.len(), 0, "a stranger");
    bench.register("w", &["x"]);
    let view = shown(&bench, "w").expect("known");
    assert_eq!((&view["websocket"], &view["last_heartbeat_at"]), (&json!(true), &Value::Null));
    bench.events.clear();
    bench.pass(5);
    let cache = Hot { cache: Some(vec!["sd".to_owned()]), skills: Some(names(&["x"])) };
    bench.beat("w", Beat { hot: cache, ..with_status("busy") });
    bench.act(|jobs, now| jobs.on_heartbeat(&worker("w"), None, now));
    bench.act(|jobs, _| jobs.on_websocket(&worker("w"), false));
    let changed = bench.events.iter().filter(|event| matches!(event, Event::WorkerChanged { .. }));
    assert_eq!(changed.count(), 3);
    let view = shown(&bench, "w").expect("known");
    assert_eq!(
        (&view["websocket"], &view["hot"], &view["status"]),
        (&json!(false), &json!(["sd"]), &json!("busy"))
    );
    assert_eq!(view["last_heartbeat_at"], json!(1_700_000_005.0));
    bench.beat("w", Beat { hot: Hot { cache: Some(Vec::new()), skills: None }, ..with_status("idle") });
    assert_eq!(shown(&bench, "w").expect("known")["hot"], json!(["x"]), "it names no models");
}

#[test]
fn skills_have_the_latest_description_and_stay_when_their_workers_go() {
    let mut bench = Bench::new();
    bench.introduce(Introduction { skills: described(r#"{"a": 1}"#), ..introduction("v", &["x"]) });
    bench.register("older", &["x", "y"]);
    assert_eq!(
        skills(&bench),
        json!([
            {"name": "x", "description": "makes x", "type": null, "version": null, "input_schema": {"a": 1},
                "output_schema": null, "events_schema": null, "workers": ["older", "v"], "hot": []},
            {"name": "y", "description": null, "type": null, "version": null, "input_schema": null,
                "output_schema": null, "events_schema": null, "workers": ["older"], "hot": []},
        ])
    );
    let hot = Hot { cache: None, skills: Some(names(&["x"])) };
    bench.introduce(Introduction { skills: described(r#"{"a": 2}"#), hot, ..introduction("w", &["x"]) });
    let list = skills(&bench);
    assert_eq!((&list[0]["input_schema"], &list[0]["differs"]), (&json!({"a": 2}), &json!(true)));
    assert_eq!((&list[0]["workers"], &list[0]["hot"]), (&json!(["older", "v", "w"]), &json!(["w"])));
    bench.beat("v", Beat { skills: described(r#"{"a": 2}"#), ..with_status("idle") });
    assert_eq!(skills(&bench)[0].get("differs"), None, "all have the same again");
    bench.pass(60);
    let list = skills(&bench);
    assert_eq!((&list[0]["workers"], &list[0]["input_schema"]), (&json!([]), &json!({"a": 2})));
    assert_eq!((&list[1]["name"], &list[1]["workers"]), (&json!("y"), &json!([])));
}
