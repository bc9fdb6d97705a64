//! The parameters' type has no rules.

use avtomatika_worker::prelude::*;

#[derive(serde::Deserialize)]
struct Resize {}

#[debug_handler]
async fn resize(Valid(Params(_resize)): Valid<Params<Resize>>) {}

fn main() {}
