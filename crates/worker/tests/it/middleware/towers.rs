//! Layers of tower's that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use avtomatika_worker::TaskRequest;
use avtomatika_worker::handler::IntoOutcome;
use avtomatika_worker::middleware::handle_error::HandleErrorLayer;
use avtomatika_worker::middleware::timeout::TimeoutLayer;
use avtomatika_worker::middleware::{Next, from_fn, from_fn_with_state};
use avtomatika_worker::prelude::*;
use serde_json::json;
use tower::limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};
use tower::load_shed::LoadShedLayer;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

use super::{told, with};
use crate::support::{push, run, tasks, wait_for_heartbeat};
#[tokio::test]
async fn errors_of_towers_layers_become_outcomes() {
    let timeout = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(told))
        .layer(tower::timeout::TimeoutLayer::new(Duration::from_millis(100)));
    let (orchestrator, _worker) = with(tasks().layer(timeout)).await;
    let late = run(&orchestrator, "sleep", json!({"seconds": 30})).await;
    assert_eq!(
        late["error"],
        json!({"code": "RESOURCE_EXHAUSTED_ERROR", "message": "told: request timed out"})
    );
    assert_eq!(run(&orchestrator, "echo", json!({"a": 1})).await["data"], json!({"a": 1}));
}

#[tokio::test]
async fn a_service_that_sheds_load_refuses_what_is_too_much_and_recovers() {
    let shed = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(async |error: BoxError| {
            assert!(error.is::<tower::load_shed::error::Overloaded>());
            Outcome::status("shed", json!({}))
        }))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(1))
        .layer(from_fn(async |request: TaskRequest, next: Next| next.run(request).await));
    let (orchestrator, _worker) = with(tasks().layer(shed)).await;
    let first = push(&orchestrator, "sleep", json!({"seconds": 1.0}));
    wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "shed");
    assert_eq!(orchestrator.wait_for_result(&first).await["status"], "success");
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
}

#[tokio::test]
async fn a_concurrency_limit_lets_tasks_wait_each_name_by_itself() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (running.clone(), most.clone());
    let count = async |State((running, most)): State<(Arc<AtomicUsize>, Arc<AtomicUsize>)>,
                       request: TaskRequest,
                       next: Next| {
        let now = running.fetch_add(1, Ordering::SeqCst) + 1;
        most.fetch_max(now, Ordering::SeqCst);
        let outcome = next.run(request).await;
        running.fetch_sub(1, Ordering::SeqCst);
        outcome
    };
    let (one, two) = (Arc::new(tokio::sync::Barrier::new(2)), tasks());
    let meet = |barrier: &Arc<tokio::sync::Barrier>| {
        let barrier = barrier.clone();
        async move || {
            barrier.wait().await;
        }
    };
    let builder = two
        .task("left", meet(&one))
        .task("right", meet(&one))
        .layer(ConcurrencyLimitLayer::new(1))
        .layer(from_fn_with_state(counted, count));
    let (orchestrator, _worker) = with(builder).await;
    let ids: Vec<_> = (0..5).map(|_| push(&orchestrator, "sleep", json!({"seconds": 0.05}))).collect();
    for id in ids {
        assert_eq!(orchestrator.wait_for_result(&id).await["status"], "success");
    }
    assert_eq!(most.load(Ordering::SeqCst), 1);
    // Both have to be inside at once.
    let (left, right) =
        tokio::join!(run(&orchestrator, "left", json!({})), run(&orchestrator, "right", json!({})));
    assert_eq!((&left["status"], &right["status"]), (&json!("success"), &json!("success")));
    assert_eq!(running.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_limit_inside_a_layer_is_taken_once_and_given_back() {
    let refuses = async |request: TaskRequest, next: Next| match request.parts().params.get() {
        "{\"no\":1}" => TaskError::permanent("no").into_outcome(),
        _ => next.run(request).await,
    };
    // Keeps what it calls, and with it all that was not handed on with the task.
    let keeps = tower_layer::layer_fn(|inner: avtomatika_worker::handler::TaskService| {
        tower::service_fn(move |request: TaskRequest| {
            let mut inner = inner.clone();
            async move { inner.ready().await?.call(request).await }
        })
    });
    let builder = tasks()
        .layer(from_fn(refuses))
        .layer(TimeoutLayer::new(Duration::from_secs(60)))
        .layer(HandleErrorLayer::new(async |error: std::convert::Infallible| -> Outcome { match error {} }))
        .layer(keeps)
        .layer(from_fn(refuses))
        .layer(Extension(1))
        .layer(GlobalConcurrencyLimitLayer::new(1));
    let (orchestrator, _worker) = with(builder).await;
    for _ in 0..2 {
        let ids: Vec<_> = (0..4).map(|_| push(&orchestrator, "sleep", json!({"seconds": 0.02}))).collect();
        for id in ids {
            assert_eq!(orchestrator.wait_for_result(&id).await["status"], "success");
        }
        assert_eq!(run(&orchestrator, "echo", json!({"no": 1})).await["error"]["message"], "no");
    }
}
