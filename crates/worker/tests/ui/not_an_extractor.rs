//! An argument is no extractor: the parameters have to be wrapped in `Params`.

use avtomatika_worker::prelude::*;

#[derive(serde::Deserialize)]
struct Resize {
    #[allow(dead_code)]
    width: u32,
}

async fn resize(_params: Resize) {}

fn main() {
    let _ = Worker::builder().task("resize", resize).build();
}
