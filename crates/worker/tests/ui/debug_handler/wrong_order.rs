//! The argument that takes the whole task is not the last one.

use avtomatika_worker::prelude::*;

#[debug_handler]
async fn everything(_request: TaskRequest, _context: TaskContext) {}

fn main() {}
