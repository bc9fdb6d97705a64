//! A generic function has no one type.

use avtomatika_worker::prelude::*;

#[debug_handler]
async fn draw<M: Default>(_context: TaskContext) {
    let _model = M::default();
}

fn main() {}
