//! A layer that fails needs a `HandleErrorLayer` around it.

use std::time::Duration;

use avtomatika_worker::prelude::*;
use tower::timeout::TimeoutLayer;

fn main() {
    let _ = Worker::builder()
        .task("nothing", async || ())
        .layer(TimeoutLayer::new(Duration::from_secs(1)))
        .build();
}
