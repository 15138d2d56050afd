//! `moat down` and `moat reset`.

use super::{home, spelled};
use crate::args::{Named, Reset};
use crate::exit::{Ended, Failure, Outcome};
use crate::out::print;
use moat_cluster::control::{Ask, ask};
use moat_cluster::home::Home;
use std::time::Duration;

/// How long a cluster may take to end: open requests get some seconds.
const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) fn down(args: &Named) -> Outcome {
    let home = home(&args.name)?;
    let said = end(&home)?;
    print(&format!("{said}\n"))?;
    Ok(Ended::Yes)
}

/// Ends the cluster if it runs, and takes its context out of the kubeconfig in any case.
fn end(home: &Home) -> Result<String, Failure> {
    let ran = home.is_running();
    let known = home.state().is_some();
    if ran {
        ask(&home.socket(), &Ask::Stop).map_err(Failure::Environment)?;
        if !home.wait_until_down(PATIENCE) {
            let pid = home.state().map(|state| state.pid.to_string()).unwrap_or_default();
            return Err(Failure::Environment(format!(
                "the cluster {:?} was asked to end and is still there after {} s: process {pid}",
                home.name,
                PATIENCE.as_secs()
            )));
        }
    }
    home.clear().map_err(|error| Failure::Environment(error.to_string()))?;
    Ok(match (ran, known) {
        (true, _) => format!("the cluster {:?} is down", home.name),
        (false, true) => {
            format!("the cluster {:?} had ended by itself; what it left is cleared", home.name)
        }
        (false, false) => format!("no cluster {:?} was up", home.name),
    })
}

pub(crate) fn reset(args: &Reset) -> Outcome {
    let home = home(&args.named.name)?;
    let data_dir = home.state().and_then(|state| state.data_dir).or(args.data_dir.clone());
    let mut said = end(&home)?;
    if let Some(dir) = &data_dir {
        moat_cluster::wipe(dir).map_err(|error| {
            Failure::Environment(format!("cannot remove the data in {}: {error}", dir.display()))
        })?;
        said.push_str(&format!("; objects, keys and volumes in {} are removed", dir.display()));
    }
    home.remove().map_err(|error| {
        Failure::Environment(format!("cannot remove {}: {error}", home.dir().display()))
    })?;
    let again = spelled("moat up", &home.name);
    print(&format!("{said}\n`{again}` begins anew, with new certificates\n"))?;
    Ok(Ended::Yes)
}
