//! Two states, of which nothing says that they are parts of one.

use avtomatika_worker::prelude::*;

#[debug_handler]
async fn wait(State(_number): State<u32>, State(_text): State<String>) {}

fn main() {}
