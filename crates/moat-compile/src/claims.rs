//! Which pod has an address, when several say that they have it.

use moat_ir::{Bound, PodIdx};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Addresses that more than one pod claims, with all who claim them: the last by display name has it.
#[derive(Debug, Default)]
pub(crate) struct Claims(BTreeMap<IpAddr, Vec<PodIdx>>);

impl Claims {
    /// Adds a pod's addresses, and to `lost` the pods that no longer have theirs.
    pub(crate) fn claim(&mut self, bound: &mut Bound, pod: PodIdx, lost: &mut Vec<PodIdx>) {
        for address in claims(bound, pod) {
            let Some(holder) = bound.pod_by_address.insert(address, pod) else { continue };
            self.0.entry(address).or_insert_with(|| vec![holder]).push(pod);
            if bound.pod(holder).display < bound.pod(pod).display {
                lost.push(holder);
            } else {
                bound.pod_by_address.insert(address, holder);
            }
        }
    }

    /// Takes a pod's addresses away, and adds to `won` the pods that have them now.
    pub(crate) fn release(&mut self, bound: &mut Bound, pod: PodIdx, won: &mut Vec<PodIdx>) {
        for address in claims(bound, pod) {
            let Some(all) = self.0.get_mut(&address) else {
                bound.pod_by_address.remove(&address);
                continue;
            };
            all.retain(|&other| other != pod);
            let last = all.iter().copied().max_by_key(|&other| &bound.pod(other).display);
            if all.len() < 2 {
                self.0.remove(&address);
            }
            match last {
                Some(last) => {
                    if bound.pod_by_address.insert(address, last) == Some(pod) {
                        won.push(last);
                    }
                }
                None => {
                    bound.pod_by_address.remove(&address);
                }
            }
        }
    }
}

/// The addresses that a pod claims, each once: a hostNetwork pod's are its node's, and a finished pod has none any more.
fn claims(bound: &Bound, pod: PodIdx) -> Vec<IpAddr> {
    let info = bound.pod(pod);
    if info.host_network || info.finished {
        return Vec::new();
    }
    let mut own = info.addresses.clone();
    own.sort_unstable();
    own.dedup();
    own
}
