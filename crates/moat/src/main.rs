//! The `moat` binary: flags and wiring only.

mod args;
mod cmd;
mod exit;
mod out;
mod world;

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    let args = args::Args::parse();
    exit::code(cmd::run(args))
}
