//! Running a worker takes it.

use avtomatika_worker::prelude::*;

async fn nothing() {}

async fn twice() {
    let worker = Worker::builder().task("nothing", nothing).build().unwrap();
    let _ = worker.run().await;
    let _ = worker.run().await;
}

fn main() {
    drop(twice());
}
