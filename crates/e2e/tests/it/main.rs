//! The worker program with both real orchestrators: each scenario is written once, and run with both.

use std::time::Duration;

use e2e::{LIMIT, Version, Worker};
use testkit::Stopwatch;

/// Makes two tests of each scenario, one for each orchestrator. A scenario is a function that takes the version.
macro_rules! with_both_orchestrators {
    ($($scenario:ident),+ $(,)?) => {
        mod avtomatika_1_0b12 {
            $(#[test] fn $scenario() { super::$scenario(crate::Version::V1_0b12); })+
        }
        mod avtomatika_1_0b30 {
            $(#[test] fn $scenario() { super::$scenario(crate::Version::V1_0b30); })+
        }
    };
}

/// Makes two tests of each scenario, one for each S3 storage. A scenario is a function that takes the kind of storage.
macro_rules! with_both_stores {
    ($($scenario:ident),+ $(,)?) => {
        mod local_s3 {
            $(#[test] fn $scenario() { super::$scenario(e2e::StorageKind::Local); })+
        }
        mod moto {
            $(#[test] fn $scenario() { super::$scenario(e2e::StorageKind::Moto); })+
        }
    };
}

/// Sends SIGTERM, and returns the exit code. Panics if the worker does not end within this time.
#[track_caller]
fn terminate(worker: &mut Worker, time: Duration) -> i32 {
    worker.signal();
    wait_for_exit(worker, time)
}

/// Returns the exit code. Panics if the worker does not end within this time.
#[track_caller]
fn wait_for_exit(worker: &mut Worker, time: Duration) -> i32 {
    let stopwatch = Stopwatch::start();
    let code = worker.wait_for_exit(LIMIT);
    let took = stopwatch.took();
    assert!(took.is_below(time), "{took:?}");
    code
}

mod cancelling;
mod capabilities;
mod concurrency;
mod deadlines;
mod dev_as;
mod dev_jobs;
mod drill;
mod durable;
mod events;
mod faults_of_dev;
mod files;
mod life;
mod outcomes;
mod rates;
mod refusals;
mod reports;
mod restarts;
mod security;
mod several;
mod shared;
mod websocket;
