//! The parameters' type has no rules: it does not implement `garde::Validate`.

use avtomatika_worker::prelude::*;

#[derive(serde::Deserialize)]
struct Resize {
    #[allow(dead_code)]
    width: u32,
}

async fn resize(Valid(Params(_resize)): Valid<Params<Resize>>) {}

fn main() {
    let _ = Worker::builder().task("resize", resize).build();
}
