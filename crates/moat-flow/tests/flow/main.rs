//! Flow records, from packets to lines, filters, replays and summaries.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod attribute;
mod filter;
mod json;
mod replay;
mod rows;
mod summary;
mod text;
mod time;
mod world;
