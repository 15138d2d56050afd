//! Claims must be bound to volumes, and volumes must be in reach of the node.

use crate::labels::NodeSelector;
use crate::node::Node;
use crate::pod::Pod;
use crate::profile::Plugin;
use crate::refusal::{Reason, Refusal};
use crate::snapshot::Snapshot;
use crate::storage::{Claim, Class};
use crate::surroundings::Surroundings;

/// What the pod's volumes ask of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Volumes<'a> {
    nodes: Vec<&'a NodeSelector>,
    missing: bool,
    /// Claims that get a volume when the node is known, the small ones first, and their classes.
    late: Vec<(&'a Claim, &'a Class)>,
    around: Option<&'a Surroundings>,
}

/// Reads the pod's claims, and refuses every node if one of them cannot be used at all.
pub(crate) fn prepare<'a>(snapshot: &'a Snapshot, pod: &Pod) -> Result<Volumes<'a>, Refusal> {
    let refuse = |reason: Reason| Err(Refusal::new(Plugin::VolumeBinding, false, reason));
    let mut found = Volumes::default();
    let mut unbound = false;
    for name in &pod.claims {
        let Some(claim) = snapshot.surroundings.claim(pod.namespace(), name) else {
            return refuse(format!("persistentvolumeclaim \"{name}\" not found").into());
        };
        if claim.lost {
            let text = format!(
                "persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{}\"",
                claim.volume
            );
            return refuse(text.into());
        }
        if claim.terminating {
            return refuse(format!("persistentvolumeclaim \"{name}\" is being deleted").into());
        }
        if claim.bound {
            match snapshot.surroundings.volume(&claim.volume) {
                Some(volume) => found.nodes.extend(&volume.nodes),
                None => found.missing = true,
            }
        } else {
            let class = snapshot.surroundings.storage(&claim.storage);
            match class.filter(|class| class.waits) {
                Some(class) => found.late.push((claim, class)),
                None => unbound = true,
            }
        }
    }
    found.late.sort_by_key(|(claim, _)| claim.size());
    found.around = Some(&snapshot.surroundings);
    if unbound {
        return refuse("pod has unbound immediate PersistentVolumeClaims".into());
    }
    Ok(found)
}

impl Volumes<'_> {
    /// Whether volumes have no say.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty() && !self.missing && self.late.is_empty()
    }

    pub(crate) fn filter(&self, node: &Node) -> Option<Refusal> {
        let mut reasons: Vec<Reason> = Vec::new();
        if self.nodes.iter().any(|nodes| !nodes.matches(&node.name, &node.labels)) {
            reasons.push("node(s) didn't match PersistentVolume's node affinity".into());
        }
        if self.missing {
            reasons.push(
                "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)".into(),
            );
        }
        if !self.finds(node) {
            reasons.push("node(s) didn't find available persistent volumes to bind".into());
        }
        let plugin = Some(Plugin::VolumeBinding);
        (!reasons.is_empty()).then_some(Refusal { plugin, reasons, resolvable: false })
    }

    /// Whether each claim that waits for its node finds a volume there of its own, or one can be made.
    fn finds(&self, node: &Node) -> bool {
        let mut taken: Vec<&str> = Vec::new();
        self.late.iter().all(|(claim, class)| {
            let volumes = self.around.into_iter().flat_map(Surroundings::volumes);
            match claim.best(volumes, &taken, &node.name, &node.labels) {
                Some(volume) => {
                    taken.push(volume.name());
                    true
                }
                None => class.makes_for(&node.labels),
            }
        })
    }
}
