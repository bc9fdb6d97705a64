//! The argument is no part of the worker's state.

use avtomatika_worker::prelude::*;

#[derive(Clone)]
struct AppState;

#[debug_handler(state = AppState)]
async fn wait(State(_number): State<u32>) {}

fn main() {}
