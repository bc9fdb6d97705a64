//! Services that are not always ready.

use std::time::Duration;

use avtomatika_worker::TaskRequest;
use avtomatika_worker::middleware::handle_error::HandleErrorLayer;
use avtomatika_worker::middleware::timeout::TimeoutLayer;
use avtomatika_worker::middleware::{Next, from_fn};
use avtomatika_worker::prelude::*;
use serde_json::json;
use tower::ServiceBuilder;

use super::with;
use crate::support::{run, tasks};
/// Refuses to be called when it has not said that it is ready.
#[derive(Clone)]
struct Strict<S> {
    inner: S,
    ready: bool,
}

impl<S: tower_service::Service<TaskRequest>> tower_service::Service<TaskRequest> for Strict<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        let ready = self.inner.poll_ready(context);
        self.ready = ready.is_ready();
        ready
    }

    fn call(&mut self, request: TaskRequest) -> S::Future {
        assert!(std::mem::take(&mut self.ready), "called before it was ready");
        self.inner.call(request)
    }
}

#[tokio::test]
async fn no_layer_of_ours_calls_what_is_not_ready() {
    let strict = || tower_layer::layer_fn(|inner| Strict { inner, ready: false });
    let clones = async |request: TaskRequest, next: Next| next.clone().run(request).await;
    let never = async |error: std::convert::Infallible| match error {};
    let builder = tasks()
        .layer(from_fn(async |request: TaskRequest, next: Next| next.run(request).await))
        .layer(strict())
        .layer(from_fn(clones))
        .layer(strict())
        .layer(HandleErrorLayer::new(async move |error| -> Outcome { never(error).await }))
        .layer(strict())
        .layer(TimeoutLayer::new(Duration::from_secs(60)))
        .layer(strict())
        .layer(Extension(1))
        .layer(strict());
    let (orchestrator, _worker) = with(builder).await;
    for _ in 0..2 {
        let result = run(&orchestrator, "echo", json!({"a": 1})).await;
        assert_eq!((&result["status"], &result["data"]), (&json!("success"), &json!({"a": 1})), "{result}");
    }
}

#[tokio::test]
async fn an_error_while_a_service_is_waited_for_is_handled_too() {
    #[derive(Clone)]
    struct NeverReady;

    impl tower_service::Service<TaskRequest> for NeverReady {
        type Response = Outcome;
        type Error = std::io::Error;
        type Future = std::future::Ready<Result<Outcome, Self::Error>>;

        fn poll_ready(
            &mut self,
            _context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Self::Error>> {
            std::task::Poll::Ready(Err(std::io::Error::other("closed for today")))
        }

        fn call(&mut self, _request: TaskRequest) -> Self::Future {
            unreachable!("it is never ready")
        }
    }

    let closed = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(async |error: std::io::Error| TaskError::from(error)))
        .layer(tower_layer::layer_fn(|_inner| NeverReady));
    let (orchestrator, _worker) = with(tasks().layer(closed)).await;
    let error = run(&orchestrator, "echo", json!({})).await["error"].clone();
    assert_eq!((&error["code"], &error["message"]), (&json!("TRANSIENT_ERROR"), &json!("closed for today")));
}
