//! The parameters' type does not implement `Deserialize`.

use avtomatika_worker::prelude::*;

struct Resize;

async fn resize(Params(_resize): Params<Resize>) {}

fn main() {
    let _ = Worker::builder().task("resize", resize).build();
}
