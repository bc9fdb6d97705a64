//! Keeping the state in a directory, over restarts and over the death of the process.
//!
//! - [`State`] is a directory that this process has for itself: [`folder`] makes and locks it, and sets aside what cannot
//!   be read; [`secrets`] keeps the token and the storage's keys; [`database`] is the file with everything else.
//! - Whoever changes something that is kept hands its new rows to the [`Keeper`], under the same lock as the change. One
//!   thread, the [`writer`], commits all rows that were handed over meanwhile at once.
//! - No answer leaves before the rows that were handed over until then are committed ([`Keeper::kept`]). The middleware of
//!   the routes and the door of the storage wait for that, so that no single route has to. The live events about tasks and
//!   workers wait, too; those about faults and lines of logs, and snapshots, do not.
//!
//! A row that changes again before it is written replaces itself: what waits for the writer is at most the state.

mod backend;
mod database;
mod error;
mod folder;
mod keeper;
mod secrets;
mod state;
mod table;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use self::database::{Rows, Unreadable};
pub use self::error::StateError;
pub(crate) use self::keeper::{Batch, Keeper};
pub(crate) use self::state::{Kept, Opened};
pub use self::state::{SetAside, State};
pub(crate) use self::table::{Table, join, number, numbered, split};
