//! An `async fn` is not registered as `blocking`.

use avtomatika_worker::prelude::*;

#[debug_handler(blocking)]
async fn wait(_context: TaskContext) {}

fn main() {}
