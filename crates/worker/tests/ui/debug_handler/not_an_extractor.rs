//! An argument that is no extractor: parameters are `Params<T>`.

use avtomatika_worker::prelude::*;

#[debug_handler]
async fn resize(_width: u32, _context: TaskContext) {}

fn main() {}
