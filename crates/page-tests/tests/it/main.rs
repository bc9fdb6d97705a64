//! The page of the development server in a real browser. Each test has a server, a worker and a browser of its own.

mod faults;
mod forms;
mod hostile;
mod keyboard;
mod lists;
mod looks;
mod memory;
mod readers;
mod tasks;
mod updates;
