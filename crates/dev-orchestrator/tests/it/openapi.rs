//! The description of the interface: the routes are there, and answer as it says.

use std::path::Path;

use avtomatika_dev::{DevOrchestrator, Fault, FaultSwitch, NewTask, Settings, TaskStatus};
use hyper::Method;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::client::{Answer, Worker, get, request, send};

/// An orchestrator that has something for each route.
struct Scene {
    orchestrator: DevOrchestrator,
    document: Value,
    /// The job ids of a task that has ended, and of one that waits.
    ended: String,
    waiting: String,
}

async fn scene() -> Scene {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let document = get(&orchestrator, "/api/openapi.json").await.json();
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let ended =
        orchestrator.submit(NewTask::new("x").with_params(json!({"a": 1}))).expect("room").into_job_id();
    let task = worker.task().await;
    let error = json!({"code": "PERMANENT_ERROR", "message": "no", "details": {"b": 2}});
    worker.result(&task, json!({"status": "failure", "error": error})).await;
    let waiting = orchestrator.submit(NewTask::new("y")).expect("room").into_job_id();
    orchestrator.log_line("w", avtomatika_dev::LogSource::Stdout, "a line");
    let line = json!({"message": "a line", "level": "INFO", "task_id": task["task_id"], "more": 1});
    orchestrator.log_line("w", avtomatika_dev::LogSource::Stderr, line.to_string());
    let storage = orchestrator.storage().expect("a storage");
    storage.put(storage.bucket(), "a.txt", "text").await.expect("written");
    assert_eq!(orchestrator.task(&ended).expect("it is kept").status, TaskStatus::Quarantined);
    Scene { orchestrator, document, ended: ended.to_string(), waiting: waiting.to_string() }
}

impl Scene {
    /// Returns the operations: their path, method and description.
    fn operations(&self) -> impl Iterator<Item = (&str, Method, &Value)> {
        let paths = self.document["paths"].as_object().expect("an object");
        paths.iter().flat_map(|(path, operations)| {
            let operations = operations.as_object().expect("an object");
            operations.iter().map(|(method, operation)| {
                let method = method.to_uppercase().parse().expect("a method");
                (path.as_str(), method, operation)
            })
        })
    }

    fn target(&self, path: &str, operation: &str) -> String {
        let id = match operation {
            "cancelTask" => &self.waiting,
            _ if path.starts_with("/api/workers") => "w",
            _ => &self.ended,
        };
        let target =
            path.replace("{id}", id).replace("{bucket}", "avtomatika-payloads").replace("{key}", "a.txt");
        if operation == "getTest" { target + "?lang=curl" } else { target }
    }

    async fn call(&self, method: Method, target: &str, operation: &Value) -> Answer {
        let content = operation.pointer("/requestBody/content").and_then(Value::as_object);
        let content = content.and_then(|content| content.iter().next());
        let (content_type, body) = content.map_or(("", ""), |(name, _)| (name.as_str(), "text"));
        let example = content.and_then(|(_, content)| content.get("example"));
        let body = example.map_or_else(|| body.to_owned(), Value::to_string);
        let headers: Vec<_> =
            (!content_type.is_empty()).then_some(("content-type", content_type)).into_iter().collect();
        let address = self.orchestrator.address();
        send(address, request(address, method, target, &headers, body)).await
    }

    /// Returns the validator for a schema of the document, or for one beside it.
    fn validator(&self, schema: &Value) -> Validator {
        let schema = json!({"allOf": [schema], "components": self.document["components"]});
        jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .build(&schema)
            .unwrap_or_else(|error| panic!("{error}: {schema}"))
    }

    fn check(&self, schema: &Value, value: &Value, what: &str) {
        let validator = self.validator(schema);
        let problems: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path)).collect();
        assert!(problems.is_empty(), "{what}: {problems:?}\n{value}");
    }
}

#[tokio::test]
async fn every_route_answers_as_described() {
    let scene = scene().await;
    let mut served = 0;
    for (path, method, operation) in scene.operations() {
        let name = operation["operationId"].as_str().expect("every operation has an id");
        if name == "readEvents" {
            continue;
        }
        served += 1;
        let answer = scene.call(method, &scene.target(path, name), operation).await;
        let described = &operation["responses"][answer.status.as_str()];
        assert!(answer.status.is_success() && described.is_object(), "{name}: {answer:?}");
        let content = described["content"].as_object().expect("an answer has a body");
        let (content_type, content) = content.iter().next().expect("a type");
        if content_type == "*/*" {
            continue;
        }
        assert_eq!(answer.headers["content-type"], content_type.as_str(), "{name}");
        if content_type == "application/json" {
            scene.check(&content["schema"], &answer.json(), name);
        }
    }
    assert!(served >= 10, "{served}");
    scene.orchestrator.shutdown().await;
}

#[tokio::test]
async fn what_is_unknown_is_answered_as_described() {
    let scene = scene().await;
    let error = json!({"$ref": "#/components/schemas/Error"});
    for (path, method, operation) in scene.operations() {
        let name = operation["operationId"].as_str().expect("every operation has an id");
        if operation["responses"].get("404").is_none() {
            continue;
        }
        let target = path.replace("{id}", "nobody").replace("{bucket}", "nothing").replace("{key}", "none");
        let target = if name == "getTest" { target + "?lang=curl" } else { target };
        let answer = scene.call(method, &target, operation).await;
        assert_eq!(answer.status, 404, "{name}");
        scene.check(&error, &answer.json(), name);
    }
    scene.orchestrator.shutdown().await;
}

#[tokio::test]
async fn another_content_type_is_refused_where_that_is_described() {
    let scene = scene().await;
    let mut refusing = 0;
    for (path, method, operation) in scene.operations() {
        let name = operation["operationId"].as_str().expect("every operation has an id");
        if operation["responses"].get("415").is_none() {
            continue;
        }
        refusing += 1;
        let (address, text) = (scene.orchestrator.address(), [("content-type", "text/plain")]);
        let answer = send(address, request(address, method, &scene.target(path, name), &text, "{}")).await;
        assert_eq!(answer.status, 415, "{name}");
    }
    assert!(refusing >= 4, "{refusing}");
    scene.orchestrator.shutdown().await;
}

#[tokio::test]
async fn events_have_the_described_data() {
    let scene = scene().await;
    let mut browser = Browser::open(&scene.orchestrator).await;
    let snapshot = browser.next().await.expect("an event");
    scene.check(&json!({"$ref": "#/components/schemas/Snapshot"}), &snapshot.data, "snapshot");
    scene.orchestrator.log_line("w", avtomatika_dev::LogSource::Stdout, "a line");
    Worker::registered(&scene.orchestrator, "v", &["z"]).await;
    scene.orchestrator.submit(NewTask::new("z")).expect("room");
    for (name, schema) in [("log", "LogEvent"), ("worker", "Worker"), ("task", "Task")] {
        let event = browser.next_of(name).await;
        scene.check(&json!({"$ref": format!("#/components/schemas/{schema}")}), &event.data, name);
    }
    scene.orchestrator.set_fault(Fault::Slow, FaultSwitch::on()).expect("a valid switch");
    for (name, schema) in [("fault", "FaultEvent"), ("stats", "Second")] {
        let event = browser.next_of(name).await;
        scene.check(&json!({"$ref": format!("#/components/schemas/{schema}")}), &event.data, name);
    }
    scene.orchestrator.shutdown().await;
}

#[tokio::test]
async fn the_description_is_whole() {
    let scene = scene().await;
    assert!(scene.document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let schemas = scene.document["components"]["schemas"].as_object().expect("an object");
    for name in schemas.keys() {
        scene.validator(&json!({"$ref": format!("#/components/schemas/{name}")}));
    }
    let mut names: Vec<_> =
        scene.operations().map(|(_, _, operation)| operation["operationId"].as_str()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "ids are unique");
    for (path, method, operation) in scene.operations() {
        // Any change may be one that cannot be kept.
        assert_eq!(operation["responses"]["507"].is_object(), !method.is_safe(), "{method} {path}");
    }
    let mut sources = String::new();
    read_sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/routes")), &mut sources);
    let routes = sources.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let routes: Vec<_> =
        routes.filter(|path| path.starts_with("/api/") || path.starts_with("/v1/")).collect();
    assert!(routes.len() > 10, "{routes:?}");
    for path in routes {
        let path = path.replace("{*", "{");
        assert!(scene.document["paths"].get(&path).is_some(), "`{path}` is not described");
    }
    scene.orchestrator.shutdown().await;
}

/// Appends the texts of the files in which routes are made.
fn read_sources(folder: &Path, texts: &mut String) {
    for entry in std::fs::read_dir(folder).expect("the sources are here") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_sources(&path, texts);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push_str(&std::fs::read_to_string(&path).expect("a text"));
        }
    }
}
