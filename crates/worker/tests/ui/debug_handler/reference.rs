//! An argument is a reference.

use avtomatika_worker::prelude::*;

#[debug_handler]
async fn wait(_context: &TaskContext) {}

fn main() {}
