//! The result is neither `()`, `Json`, `Outcome` nor a `Result` of these.

use avtomatika_worker::prelude::*;

#[debug_handler]
async fn count() -> u32 {
    3
}

fn main() {}
