//! A middleware asks for state that it was not given.

use avtomatika_worker::TaskRequest;
use avtomatika_worker::middleware::{Next, from_fn_with_state};
use avtomatika_worker::prelude::*;

#[derive(Clone)]
struct Models;

async fn load(State(_models): State<Models>, request: TaskRequest, next: Next) -> Outcome {
    next.run(request).await
}

fn main() {
    let _ = Worker::builder().task("nothing", async || ()).layer(from_fn_with_state(7, load)).build();
}
