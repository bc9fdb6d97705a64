//! Proof that every handler has its state.

/// The state of a worker whose handlers need none, or already have theirs.
#[derive(Debug, Clone, Copy)]
pub struct NoState;

/// The state that a worker can offer to handlers that were not given one by [`with_state`](crate::WorkerBuilder::with_state):
/// none.
#[diagnostic::on_unimplemented(
    message = "the worker's handlers need the state `{S}`, which it was not given",
    label = "`State<{S}>` is an argument of a handler",
    note = "give it with `.with_state(…)`, after the tasks that need it and before this"
)]
pub trait Offers<S> {
    /// The state.
    fn offer(self) -> S;
}

impl Offers<()> for NoState {
    fn offer(self) {}
}
