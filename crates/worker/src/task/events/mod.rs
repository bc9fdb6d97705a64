//! Events that handlers send, and the schemas they are declared with.

mod declared;
mod error;
#[cfg(not(feature = "event-schemas"))]
#[path = "no_schema.rs"]
mod schema;
#[cfg(feature = "event-schemas")]
mod schema;

pub(crate) use declared::EventSchemas;
pub(crate) use error::DeclarationError;
pub use error::EventError;
