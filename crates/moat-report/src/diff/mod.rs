//! Differences, as text and as data.

mod dto;
mod text;

#[cfg(test)]
mod tests;

pub use dto::value;
pub use text::render;

use moat_analyze::diff::Group;
use moat_ir::Bound;

/// Every member of a side.
fn members(new: &Bound, group: &Group) -> Vec<String> {
    match group {
        Group::Pods(pods) => pods.iter().map(|&pod| new.pod(pod).display.to_string()).collect(),
        Group::Addresses(set) => set.cidrs().iter().map(ToString::to_string).collect(),
        Group::Domain(name) => vec![format!("domain/{name}")],
    }
}
