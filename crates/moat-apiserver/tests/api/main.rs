//! Everything that goes through the server, in one program: each program linked with a client library costs minutes.
#![recursion_limit = "256"]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]
#![allow(clippy::disallowed_methods, clippy::print_stderr, reason = "a test of a program runs it")]

mod admission;
mod apply;
mod cel;
mod certificates;
mod clients;
mod common;
mod crds;
mod errors;
mod eviction;
mod generations;
mod generators;
mod helm;
mod identity;
mod kubectl;
mod nodes;
mod observe;
mod parts;
mod policies;
mod rbac;
mod rules;
mod security;
mod soak;
mod stored;
mod tour;
mod versions;
mod watches;
