//! `moat join`.

use super::root;
use crate::args::Join as Args;
use crate::exit::{Ended, Failure, Outcome};
use crate::out::print;
use moat_cluster::join::{Wanted, join as join_cluster};
use moat_cluster::kubeconfig;

pub(crate) fn join(args: &Args) -> Outcome {
    let node = match &args.node_name {
        Some(name) => name.clone(),
        None => machine()?,
    };
    let wanted =
        Wanted::new(&args.server, &args.token, &args.hashes, &node).map_err(Failure::input)?;
    if !is_node_name(&node) {
        return Err(Failure::with_help(
            format!("{node:?} cannot be a node's name"),
            "--node-name gives it another, of lower-case letters, digits, '-' and '.'",
        ));
    }
    let path = match &args.kubeconfig {
        Some(path) => path.clone(),
        None => root()?.join(format!("{node}.node.kubeconfig")),
    };
    let unwritten =
        |error: std::io::Error| Failure::Environment(format!("{}: {error}", path.display()));
    // A machine that cannot keep its certificate does not ask for one.
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(unwritten)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let joined = runtime.block_on(join_cluster(&wanted)).map_err(Failure::Environment)?;
    let context = kubeconfig::Context {
        name: format!("system:node:{node}"),
        server: joined.server.clone(),
        authority: joined.authority,
        certificate: joined.certificate,
        key: joined.key,
    };
    let text = moat_report::yaml::render(&kubeconfig::alone(&context));
    kubeconfig::write(&path, &text).map_err(unwritten)?;
    print(&format!(
        "The node {node:?} is registered with {}.\n  kubeconfig {}\nNo pod runs on it: this version of moat has no node agent, so the node says that it is not ready.\n",
        joined.server,
        path.display(),
    ))?;
    Ok(Ended::Yes)
}

/// The machine's name, as kubelets take it.
fn machine() -> Result<String, Failure> {
    let path = "/proc/sys/kernel/hostname";
    let read = std::fs::read_to_string(path)
        .map_err(|error| Failure::Environment(format!("{path}: {error}")))?;
    Ok(read.trim().to_lowercase())
}

fn is_node_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let label = |label: &str| {
        let ends = [label.bytes().next(), label.bytes().last()];
        ends.into_iter().all(|end| end.is_some_and(letter))
            && label.bytes().all(|byte| letter(byte) || byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}
