//! Values that middleware inserts for handlers.

use std::any::type_name;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::argument::FromTaskParts;
use super::rejection::Rejection;
use super::request::{TaskParts, TaskRequest};
use crate::task::outcome::TaskError;

/// A value that a layer inserted for the handler, found by its type. The value is cloned: put a value that is not cheap to
/// clone into an `Arc`.
///
/// As an argument it gets the value. If no layer inserted one, the handler is not run, and its task ends with
/// `PERMANENT_ERROR`. As a layer it inserts the same value for every task; to insert a different value for each task, use
/// a [middleware](crate::middleware::from_fn()). If several layers insert a value of the same type, the innermost wins.
///
/// For a value that all handlers share, prefer [`State`](crate::State), which is checked when the worker is compiled.
///
/// ```
/// use avtomatika_worker::prelude::*;
///
/// #[derive(Clone)]
/// struct ModelPath(&'static str);
///
/// async fn draw(Extension(path): Extension<ModelPath>) -> Json<serde_json::Value> {
///     Json(serde_json::json!({"model": path.0}))
/// }
///
/// let builder = Worker::builder().task("draw", draw).layer(Extension(ModelPath("/models/m1")));
/// # let _: avtomatika_worker::WorkerBuilder = builder;
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extension<T>(pub T);

impl<T: Clone + Send + Sync + 'static, S: Sync> FromTaskParts<S> for Extension<T> {
    type Rejection = Rejection;

    async fn from_task_parts(parts: &mut TaskParts, _state: &S) -> Result<Self, Rejection> {
        let value = parts.extensions.get::<T>().cloned();
        value.map(Self).ok_or_else(|| {
            let name = type_name::<T>();
            Rejection(TaskError::permanent(format!(
                "the handler asks for `Extension<{name}>`, which no layer inserted: add `.layer(Extension(value))`, \
                 or insert it in a middleware"
            )))
        })
    }
}

impl<I, T: Clone> Layer<I> for Extension<T> {
    type Service = AddExtension<I, T>;

    fn layer(&self, inner: I) -> AddExtension<I, T> {
        AddExtension { inner, value: self.0.clone() }
    }
}

/// The service of [`Extension`] as a layer.
#[derive(Debug, Clone, Copy)]
pub struct AddExtension<I, T> {
    inner: I,
    value: T,
}

impl<I, T> Service<TaskRequest> for AddExtension<I, T>
where
    I: Service<TaskRequest>,
    T: Clone + Send + Sync + 'static,
{
    type Response = I::Response;
    type Error = I::Error;
    type Future = I::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), I::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: TaskRequest) -> I::Future {
        request.extensions_mut().insert(self.value.clone());
        self.inner.call(request)
    }
}
