//! The worker of black-box tests, written as an ordinary user of the crate would write it: one task for each feature.

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
