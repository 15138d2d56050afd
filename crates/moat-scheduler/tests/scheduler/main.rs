//! All tests of the scheduler in one program: linking a program costs more than most of its tests.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod binding;
mod common;
mod config;
mod driver;
mod examples;
mod messages;
mod property;
mod scale;
