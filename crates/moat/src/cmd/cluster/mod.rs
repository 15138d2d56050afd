//! The embedded cluster: `moat up`, `down`, `status`, `reset`, `token` and `join`.

mod down;
mod join;
mod status;
mod token;
mod up;
mod why;

pub(crate) use down::{down, reset};
pub(crate) use join::join;
pub(crate) use status::status;
pub(crate) use token::token;
pub(crate) use up::up;
pub(crate) use why::{is_meant, why};

use crate::exit::Failure;
use moat_cluster::home::Home;
use std::path::PathBuf;

/// Where all clusters of this user have their directories.
fn root() -> Result<PathBuf, Failure> {
    let of = |name: &str| std::env::var_os(name).map(PathBuf::from);
    Home::root(of("XDG_STATE_HOME").as_deref(), of("HOME").as_deref()).ok_or_else(|| {
        Failure::Environment(
            "no place for a cluster's socket: set HOME, or XDG_STATE_HOME to an absolute path"
                .to_owned(),
        )
    })
}

fn home(name: &str) -> Result<Home, Failure> {
    Home::new(&root()?, name).map_err(Failure::input)
}

/// The home of a cluster that runs.
fn running(name: &str) -> Result<Home, Failure> {
    let home = home(name)?;
    if home.is_running() {
        return Ok(home);
    }
    Err(Failure::Environment(format!("no cluster {name:?} runs; `moat up` starts one")))
}

/// `abc` for `moat`, `abc --name NAME` for others: how a command names a cluster.
fn spelled(command: &str, name: &str) -> String {
    if name == "moat" { command.to_owned() } else { format!("{command} --name {name}") }
}
