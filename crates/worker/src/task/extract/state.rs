//! The state that the handlers of a worker share.

use std::convert::Infallible;

use super::argument::FromTaskParts;
use super::request::TaskParts;

/// The worker's shared state, as given to [`with_state`](crate::WorkerBuilder::with_state), or a part of it that
/// implements [`FromRef`]. A worker without that state does not compile.
///
/// The state is cloned for every task: put a value that is not cheap to clone into an `Arc`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State<T>(pub T);

/// A part that can be taken out of a larger state.
pub trait FromRef<S> {
    /// Takes the part out of the state.
    fn from_ref(state: &S) -> Self;
}

impl<T: Clone> FromRef<T> for T {
    fn from_ref(state: &T) -> Self {
        state.clone()
    }
}

impl<T: FromRef<S> + Send, S: Sync> FromTaskParts<S> for State<T> {
    type Rejection = Infallible;

    async fn from_task_parts(_parts: &mut TaskParts, state: &S) -> Result<Self, Infallible> {
        Ok(Self(T::from_ref(state)))
    }
}
