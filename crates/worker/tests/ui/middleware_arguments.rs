//! A middleware takes the task and what is next, in this order.

use avtomatika_worker::TaskRequest;
use avtomatika_worker::middleware::{Next, from_fn};
use avtomatika_worker::prelude::*;

async fn count(next: Next, request: TaskRequest) -> Outcome {
    next.run(request).await
}

fn main() {
    let _ = Worker::builder().task("nothing", async || ()).layer(from_fn(count)).build();
}
