//! An `Rc` is held across an `await`.

use avtomatika_worker::prelude::*;

#[debug_handler]
async fn wait() {
    let shared = std::rc::Rc::new(1);
    std::future::ready(()).await;
    drop(shared);
}

fn main() {}
