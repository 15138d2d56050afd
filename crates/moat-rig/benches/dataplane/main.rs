//! The data plane's table: what packets, changes and logs cost in the kernel, beside the layouts that others use.
//!
//! `cargo bench -p moat-rig --bench dataplane` prints everything; words after `--` choose sections: `packets`, `parts`, `change`, `verify`,
//! `leak`, `churn`, `log`. Runs in namespaces of its own and needs no root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench that cannot run has nobody to report to; figures are for people"
)]

mod change;
mod churn;
mod clock;
mod layout;
mod leak;
mod log;
mod packet;
mod parts;
mod reader;
mod site;
mod table;
mod verify;
mod worlds;

use mimalloc::MiMalloc;
use std::process::ExitCode;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// A name, and what it measures and prints.
type Section = (&'static str, fn(&tokio::runtime::Runtime));

fn main() -> ExitCode {
    if let Err(refused) = moat_kernel::sandbox::enter() {
        eprintln!("NOTHING WAS MEASURED: {refused}");
        return ExitCode::FAILURE;
    }
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    table::head();
    let sections: [Section; 8] = [
        ("packets", packet::established),
        ("packets", packet::new_connections),
        ("parts", parts::run),
        ("change", change::run),
        ("verify", verify::run),
        ("leak", leak::run),
        ("churn", churn::run),
        ("log", log::run),
    ];
    for (name, section) in sections {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            let start = Instant::now();
            section(&runtime);
            println!("  ({name}: {:.0} s)", start.elapsed().as_secs_f64());
        }
    }
    ExitCode::SUCCESS
}
