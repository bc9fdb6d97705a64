//! Faults, as a client sees them on the wire.

mod answers;
mod resets;
mod storage;
mod switches;
mod verdicts;

use avtomatika_dev::{DevOrchestrator, Fault, FaultState, FaultSwitch, Settings};
use serde_json::Value;

use crate::client::{Worker, eventually, put};

/// Starts an orchestrator with a registered worker.
async fn started() -> (DevOrchestrator, Worker) {
    let orchestrator = DevOrchestrator::start(Settings::new().without_storage()).await.expect("a free port");
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    (orchestrator, worker)
}

fn switch_on(orchestrator: &DevOrchestrator, fault: Fault) {
    orchestrator.set_fault(fault, FaultSwitch::on()).expect("valid");
}

fn switch_off(orchestrator: &DevOrchestrator, fault: Fault) {
    orchestrator.set_fault(fault, FaultSwitch::off()).expect("valid");
}

/// Switches faults in the API, and returns all of them.
async fn switch(orchestrator: &DevOrchestrator, switches: Value) -> Value {
    let answer = put(orchestrator, "/api/faults", &switches).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["faults"].clone()
}

fn state(orchestrator: &DevOrchestrator, fault: Fault) -> FaultState {
    orchestrator.faults().into_iter().find(|state| state.fault == fault).expect("every fault is there")
}

/// Waits until a fault has hit this many requests.
async fn hits(orchestrator: &DevOrchestrator, fault: Fault, count: u64) {
    eventually(|| state(orchestrator, fault).hits >= count).await;
}
