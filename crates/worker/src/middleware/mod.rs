//! Layers of ours around every task.

pub mod catch_panic;
