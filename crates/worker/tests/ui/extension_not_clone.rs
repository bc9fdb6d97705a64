//! What middleware puts in is cloned for the handler.

use avtomatika_worker::prelude::*;

struct Model;

async fn draw(Extension(_model): Extension<Model>) {}

fn main() {
    let _ = Worker::builder().task("draw", draw).build();
}
