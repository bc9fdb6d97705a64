//! An `async fn` is not to be wrapped in `blocking`.

use avtomatika_worker::prelude::*;

async fn wait(_context: TaskContext) {}

fn main() {
    let _ = Worker::builder().task("wait", blocking(wait)).build();
}
