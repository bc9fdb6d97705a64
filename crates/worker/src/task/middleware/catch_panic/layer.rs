use tower_layer::Layer;

use super::CatchPanic;

/// Puts [`CatchPanic`] around a service. It is around every handler already, inside of all other layers.
#[derive(Debug, Clone, Copy, Default)]
pub struct CatchPanicLayer;

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanic<S>;

    fn layer(&self, inner: S) -> CatchPanic<S> {
        CatchPanic::new(inner)
    }
}
