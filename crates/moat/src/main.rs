//! The `moat` binary: flags and wiring only.

mod args;
mod cmd;
mod exit;
mod out;
mod world;

use clap::Parser as _;
use mimalloc::MiMalloc;

// A server of JSON allocates and frees small pieces on all cores, which this does with a seventh less CPU for a create than glibc's, and musl's
// is slower still.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> std::process::ExitCode {
    let args = args::Args::parse();
    exit::code(cmd::run(args))
}
