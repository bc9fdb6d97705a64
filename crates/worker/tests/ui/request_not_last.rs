//! What consumes the task is the last argument.

use avtomatika_worker::prelude::*;
use avtomatika_worker::TaskRequest;

async fn everything(_request: TaskRequest, _context: TaskContext) {}

fn main() {
    let _ = Worker::builder().task("everything", everything).build();
}
