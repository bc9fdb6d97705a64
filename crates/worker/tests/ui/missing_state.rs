//! A handler asks for state that the worker was not given.

use avtomatika_worker::prelude::*;

#[derive(Clone)]
struct Models;

async fn draw(State(_models): State<Models>) {}

fn main() {
    let _ = Worker::builder().task("draw", draw).build();
}
