//! Repository chores: see `tests/tidy.rs`, which `cargo test` runs.
