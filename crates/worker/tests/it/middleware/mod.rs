//! Layers around tasks: those made of functions, ours, and tower's.

mod conformance;
mod functions;
mod ours;
mod readiness;
mod towers;

use std::sync::{Arc, Mutex};

use avtomatika_worker::middleware::Next;
use avtomatika_worker::prelude::*;
use avtomatika_worker::{TaskRequest, WorkerBuilder};
use testkit::ScriptedOrchestrator;
use tower::BoxError;

use crate::support::{Running, config};

async fn with(builder: WorkerBuilder) -> (ScriptedOrchestrator, Running) {
    let orchestrator = ScriptedOrchestrator::start().await;
    let worker = Running::start(builder.config(config(&orchestrator.url(), &[])).build().expect("a worker"));
    (orchestrator, worker)
}

/// What happened, in its order.
#[derive(Clone, Default)]
struct Marks(Arc<Mutex<Vec<String>>>);

impl Marks {
    fn add(&self, mark: &str) {
        self.0.lock().expect("no panic").push(mark.to_owned());
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }
}

#[derive(Clone)]
struct Named(&'static str, Marks);

/// A middleware that leaves marks.
async fn mark(State(Named(name, marks)): State<Named>, request: TaskRequest, next: Next) -> Outcome {
    marks.add(&format!("{name} in"));
    let outcome = next.run(request).await;
    marks.add(&format!("{name} out"));
    outcome
}

async fn told(error: BoxError) -> TaskError {
    TaskError::resource_exhausted(format!("told: {error}"))
}
