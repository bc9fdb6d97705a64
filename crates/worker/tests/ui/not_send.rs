//! A handler holds what is not `Send` across an `await`.

use std::rc::Rc;

use avtomatika_worker::prelude::*;

async fn wait() {
    let shared = Rc::new(1);
    std::future::ready(()).await;
    drop(shared);
}

fn main() {
    let _ = Worker::builder().task("wait", wait).build();
}
