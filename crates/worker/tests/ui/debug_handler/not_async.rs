//! A function that blocks, without `blocking`.

use avtomatika_worker::prelude::*;

#[debug_handler]
fn resize(RawParams(_params): RawParams) {}

fn main() {}
