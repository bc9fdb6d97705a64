//! The error of the result is a text.

use avtomatika_worker::prelude::*;

#[debug_handler]
async fn count() -> Result<(), String> {
    Err("no numbers left".to_owned())
}

fn main() {}
