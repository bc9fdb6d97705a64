//! Jobs of a blueprint at the development orchestrator, run by a worker.

use avtomatika_dev::{Blueprint, DevOrchestrator, NewTask, Settings, TaskStatus};
use avtomatika_worker::WorkerConfig;
use avtomatika_worker::prelude::*;
use e2e::LIMIT;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const TWO_STEP: &str = r#"
    name = "two_step"
    start = "count"
    [states.count]
    task = "count"
    params = { text = "$.text" }
    on = { success = "tell" }
    [states.tell]
    task = "tell"
    params = { whom = "$.whom", letters = "$.letters", exact = "$.exact" }
    on = { success = "finished" }
"#;

#[derive(Deserialize)]
struct Text {
    text: String,
}

#[derive(Serialize)]
struct Counted {
    letters: usize,
}

#[derive(Deserialize)]
struct Told {
    whom: String,
    letters: usize,
    exact: u64,
}

async fn count(Params(input): Params<Text>) -> Json<Counted> {
    Json(Counted { letters: input.text.chars().count() })
}

async fn tell(Params(input): Params<Told>) -> Json<Value> {
    Json(json!({"told": format!("{}: {} and {}", input.whom, input.letters, input.exact)}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_two_steps_is_run_with_the_data_of_the_first_in_the_second() {
    let settings = Settings::new().with_blueprint(Blueprint::from_toml(TWO_STEP).expect("a blueprint"));
    let orchestrator = DevOrchestrator::start(settings).await.expect("a free port");
    let mut config = WorkerConfig::defaults().worker_token("any");
    config.set("ORCHESTRATOR_URL", &orchestrator.url()).expect("an address");
    let builder = Worker::builder().config(config).task("count", count).task("tell", tell);
    let worker = builder.build().expect("valid");

    let params = json!({"text": "ключ", "whom": "you", "exact": 18_446_744_073_709_551_615_u64});
    let job = orchestrator.submit(NewTask::job("two_step").with_params(params)).expect("room").job_id;
    let ended = async { drop(tokio::time::timeout(LIMIT, orchestrator.wait(&job)).await) };
    worker.run_until(ended).await.expect("it runs");
    let view = orchestrator.task(&job).expect("it is remembered");
    assert_eq!(view.status, TaskStatus::Finished, "{view:?}");
    let data: Option<Value> = view.data_as().expect("JSON");
    assert_eq!(data, Some(json!({"told": "you: 4 and 18446744073709551615"})));
    let way = view.job.expect("a job");
    assert_eq!(way.state, "finished");
    let steps: Vec<_> = way.path.iter().map(|step| (step.state.as_str(), step.status.as_str())).collect();
    assert_eq!(steps, [("count", "success"), ("tell", "success")]);
    orchestrator.shutdown().await;
}
