//! The page of the development server in a real browser. Each test has a server, a worker and a browser of its own.

mod faults;
mod figures;
mod forms;
mod hostile;
mod keyboard;
mod lists;
mod looks;
mod memory;
mod readers;
mod screenshots;
mod tasks;
mod updates;
mod views;
