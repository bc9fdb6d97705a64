//! Jobs of blueprints.

use avtomatika_dev::{Blueprint, NewTask, Settings, TaskStatus};
use serde_json::json;

use super::Place;
use crate::client::{Worker, get};

const STEPS: &str = r#"
    name = "two_step"
    start = "first"
    [states.first]
    task = "resize"
    on = { success = "second" }
    [states.second]
    task = "notify"
    params = { image = "$.image", to = "$.to" }
    on = { success = "third" }
    [states.third]
    task = "notify"
    params = { kind = "$.kind", image = "$.image", to = "$.to", sent = "$.sent" }
    on = { success = "finished" }
"#;

fn settings() -> Settings {
    Settings::new().with_blueprint(Blueprint::from_toml(STEPS).expect("a blueprint"))
}

#[tokio::test]
async fn a_job_goes_on_with_the_step_that_it_had_come_to() {
    let place = Place::new();
    let orchestrator = place.start_with(settings()).await;
    let worker = Worker::registered(&orchestrator, "w", &["resize", "notify"]).await;
    let job = NewTask::job("two_step").with_params(json!({"image": "a.png", "kind": 1}));
    let id = orchestrator.submit(job).expect("room").job_id.to_string();
    worker.run(json!({"data": {"image": "b.png", "to": "me"}})).await;
    orchestrator.shutdown().await;

    let orchestrator = place.start_with(settings()).await;
    let worker = Worker { address: orchestrator.address(), ..worker };
    let second = worker.task().await;
    assert_eq!(second["type"], "notify");
    assert_eq!(second["params"], json!({"image": "b.png", "to": "me"}), "those of the step, not of the job");
    worker.result(&second, json!({"data": {"sent": true}})).await;
    let third = worker.task().await;
    assert_eq!(third["params"], json!({"kind": 1, "image": "b.png", "to": "me", "sent": true}));
    worker.result(&third, json!({"data": {}})).await;
    let view = orchestrator.task(&id).expect("known");
    assert_eq!(view.status, TaskStatus::Finished);
    let view = get(&orchestrator, &format!("/api/tasks/{id}")).await.json();
    assert_eq!(view["job"]["params"], json!({"image": "a.png", "kind": 1}));
    let path = view["job"]["path"].as_array().expect("a list");
    assert_eq!(path.iter().map(|step| &step["state"]).collect::<Vec<_>>(), ["first", "second", "third"]);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_job_whose_blueprint_is_gone_ends_with_the_reason() {
    let place = Place::new();
    let orchestrator = place.start_with(settings()).await;
    let worker = Worker::registered(&orchestrator, "w", &["resize", "notify"]).await;
    let id = orchestrator.submit(NewTask::job("two_step")).expect("room").job_id.to_string();
    orchestrator.shutdown().await;

    let orchestrator = place.start().await;
    let worker = Worker { address: orchestrator.address(), ..worker };
    worker.run(json!({"data": {}})).await;
    let view = orchestrator.task(&id).expect("known");
    assert_eq!(view.status, TaskStatus::Failed);
    let error = view.error.expect("a reason");
    assert!(format!("{error:?}").contains("does not have the blueprint `two_step`"), "{error:?}");
    orchestrator.shutdown().await;
}
