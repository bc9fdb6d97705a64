//! A handler asks for other state than the worker was given.

use avtomatika_worker::prelude::*;

#[derive(Clone)]
struct Models;

#[derive(Clone)]
struct Settings;

async fn draw(State(_models): State<Models>) {}

fn main() {
    let _ = Worker::builder().task("draw", draw).with_state::<()>(Settings).build();
}
