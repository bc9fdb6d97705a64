//! The parameters' type does not implement `Deserialize`.

use avtomatika_worker::prelude::*;

struct Resize;

#[debug_handler]
async fn resize(Params(_resize): Params<Resize>) {}

fn main() {}
