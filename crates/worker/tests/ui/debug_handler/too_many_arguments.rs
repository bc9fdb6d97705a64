//! Thirteen arguments.

use avtomatika_worker::prelude::*;

type C = TaskContext;

#[debug_handler]
async fn all(_a: C, _b: C, _c: C, _d: C, _e: C, _f: C, _g: C, _h: C, _i: C, _j: C, _k: C, _l: C, _m: C) {}

fn main() {}
