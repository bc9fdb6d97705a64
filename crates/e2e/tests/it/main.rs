//! The worker program against both real orchestrators: each scenario is written once and run with each.

use e2e::Version;

/// Makes a test per orchestrator of each scenario, a function that takes the version.
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

/// Makes a test per store of each scenario, a function that takes which one.
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

mod cancelling;
mod capabilities;
mod concurrency;
mod deadlines;
mod durable;
mod events;
mod files;
mod life;
mod outcomes;
mod rates;
mod refusals;
mod restarts;
mod security;
mod several;
mod websocket;
