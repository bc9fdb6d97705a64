//! The worker that black-box checks drive: what an ordinary user of the crate would write, one task for each thing a
//! worker can do.

mod configuration;
mod files;
mod middleware;
mod tasks;

use avtomatika_worker::prelude::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Exit {
    let config = configuration::load();
    let _log = avtomatika_worker::logging::init(&config);
    let builder = files::add(tasks::add(configuration::apply(Worker::builder().config(config))));
    middleware::add(builder).run_with_health_check().await
}
