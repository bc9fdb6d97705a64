//! What middleware inserts is cloned for the handler.

use avtomatika_worker::prelude::*;

struct Model;

#[debug_handler]
async fn draw(Extension(_model): Extension<Model>) {}

fn main() {}
