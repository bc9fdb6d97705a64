//! Two arguments that take the whole task.

use avtomatika_worker::prelude::*;

#[debug_handler]
async fn everything(_request: TaskRequest, _again: TaskRequest) {}

fn main() {}
