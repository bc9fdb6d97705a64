//! The compilation of the documents: `cargo test --doc -p avtomatika-examples` compiles every Rust snippet of the
//! README and the guides.
//!
//! The examples are in the folders beside this one; `cargo run --example NAME` runs one.

#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../README.md")]
    struct Readme;

    #[doc = include_str!("../README.md")]
    struct Examples;

    #[doc = include_str!("../../crates/worker/README.md")]
    struct WorkerReadme;

    #[doc = include_str!("../../crates/dev-orchestrator/README.md")]
    struct DevReadme;

    #[doc = include_str!("../../ARCHITECTURE.md")]
    struct Architecture;

    #[doc = include_str!("../../CONTRIBUTING.md")]
    struct Contributing;

    #[doc = include_str!("../../docs/getting-started.md")]
    struct GettingStarted;

    #[doc = include_str!("../../docs/handlers.md")]
    struct Handlers;

    #[doc = include_str!("../../docs/files.md")]
    struct Files;

    #[doc = include_str!("../../docs/cancellation-and-progress.md")]
    struct CancellationAndProgress;

    #[doc = include_str!("../../docs/capabilities.md")]
    struct Capabilities;

    #[doc = include_str!("../../docs/configuration.md")]
    struct Configuration;

    #[doc = include_str!("../../docs/several-orchestrators.md")]
    struct SeveralOrchestrators;

    #[doc = include_str!("../../docs/observing.md")]
    struct Observing;

    #[doc = include_str!("../../docs/security.md")]
    struct Security;

    #[doc = include_str!("../../docs/python.md")]
    struct Python;

    #[doc = include_str!("../../docs/migrating.md")]
    struct Migrating;

    #[doc = include_str!("../../docs/testing.md")]
    struct Testing;

    #[doc = include_str!("../../docs/durability.md")]
    struct Durability;

    #[doc = include_str!("../../docs/shutdown.md")]
    struct Shutdown;

    #[doc = include_str!("../../docs/drill.md")]
    struct Drill;

    #[doc = include_str!("../../docs/development-orchestrator.md")]
    struct DevelopmentOrchestrator;

    #[doc = include_str!("../../docs/benchmarks.md")]
    struct Benchmarks;

    #[doc = include_str!("../../docs/performance.md")]
    struct Performance;
}
