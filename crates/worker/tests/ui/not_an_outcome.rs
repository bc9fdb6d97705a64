//! The result is neither `()`, `Json`, `Outcome` nor a `Result` of these.

use avtomatika_worker::prelude::*;

async fn count() -> u32 {
    3
}

fn main() {
    let _ = Worker::builder().task("count", count).build();
}
