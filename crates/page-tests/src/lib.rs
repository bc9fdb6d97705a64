//! Fixtures for tests of the page of the development server in a real browser: Debian's `chromium`, driven through its
//! `chromium-driver`.
//!
//! * [`Stage`]: a development server, and a real worker that does what a test tells it to.
//! * [`Page`]: a browser of its own with the page in it. Its elements are found by their role and their accessible name, as
//!   people who listen to a page find them.
//! * [`axe`]: what the library axe-core finds wrong with a page.
//! * [`until`]: waits for a condition, with a time limit.
//!
//! Every fixture panics with a sentence that names the problem: a panic here is a failed test.
#![expect(clippy::missing_panics_doc, reason = "fixtures: a panic is a failed test")]

pub mod axe;
mod browser;
mod console;
mod elements;
mod page;
pub mod pictures;
mod scene;
mod stage;
mod wait;
mod worker;

pub use browser::Options;
pub use page::{NARROW, Page, WIDE};
pub use scene::{Furniture, drawn, furnish, hits};
pub use stage::Stage;
pub use thirtyfour::{Key, WebElement};
pub use wait::{LIMIT, until};
