//! Shared tools for the tests of this workspace: a scripted orchestrator, and other servers that misbehave on command.
//!
//! - [`ScriptedOrchestrator`]: speaks the protocol, records requests, and answers as the test tells it to.
//! - [`Tls`]: certificates for the orchestrator.
//! - [`Relay`]: a TCP connection that can be cut; [`Proxy`]: a forward proxy.
//! - [`FaultProxy`]: a reverse proxy that causes faults by [`Rule`], for example in front of an S3.
//! - [`Process`]: a program that runs beside the test.
//! - [`task()`]: makes tasks with unique ids.
//! - [`capture::Logs`]: the log lines of a test.
//!
//! Every function that waits fails the test after a time limit, with a list of everything it has seen.

pub mod capture;

mod door;
mod faults;
mod orchestrator;
mod patience;
mod process;
mod proxy;
mod relay;
mod stream;
mod task;
mod tls;

pub use self::faults::{Fault, FaultProxy, Passed, Rule};
pub use self::orchestrator::{Answer, Endpoint, Generation, Recorded, Script, ScriptedOrchestrator};
pub use self::process::{Process, Program};
pub use self::proxy::{Proxied, Proxy};
pub use self::relay::Relay;
pub use self::task::task;
pub use self::tls::{ClientIdentity, Tls};
