//! What the tests of this workspace share: a scripted orchestrator, and other things that misbehave on command.
//!
//! - [`ScriptedOrchestrator`]: speaks the protocol, records what it is sent, and answers as the test says.
//! - [`Tls`]: certificates for it.
//! - [`Relay`]: a cable that can be cut; [`Proxy`]: a forward proxy.
//! - [`FaultProxy`]: stands before a server, an S3 for example, and lets things go wrong by [`Rule`].
//! - [`Process`]: a program that runs beside the test.
//! - [`task()`]: tasks with ids of their own.
//! - [`capture::Logs`]: the log lines of a test.
//! - [`Stopwatch`]: measures promises in wall time on a busy machine.
//!
//! Whatever waits here gives up after [`PATIENCE`], and says what it has seen instead.

pub mod capture;

mod door;
mod faults;
mod orchestrator;
mod patience;
mod process;
mod proxy;
mod relay;
mod stopwatch;
mod stream;
mod task;
mod tls;

pub use self::faults::{Fault, FaultProxy, Passed, Rule};
pub use self::orchestrator::{Answer, Endpoint, Generation, Recorded, Script, ScriptedOrchestrator};
pub use self::patience::PATIENCE;
pub use self::process::{Process, Program};
pub use self::proxy::{Proxied, Proxy};
pub use self::relay::Relay;
pub use self::stopwatch::{Stopwatch, Took};
pub use self::task::task;
pub use self::tls::{ClientIdentity, Tls};
