//! A function that blocks has to be wrapped in `blocking`.

use avtomatika_worker::prelude::*;

fn resize(RawParams(_params): RawParams) {}

fn main() {
    let _ = Worker::builder().task("resize", resize).build();
}
