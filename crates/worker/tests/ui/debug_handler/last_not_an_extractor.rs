//! A last argument that is no extractor: `Json` is a result only.

use avtomatika_worker::prelude::*;

#[debug_handler]
async fn resize(_context: TaskContext, Json(_width): Json<u32>) {}

fn main() {}
