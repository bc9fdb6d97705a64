//! Nothing of its own: each folder beside this one is an example, run by `cargo run --example NAME`.
