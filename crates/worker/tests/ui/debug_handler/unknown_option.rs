//! The attribute has no such option.

use avtomatika_worker::prelude::*;

#[debug_handler(sync)]
fn resize() {}

fn main() {}
