//! Pods that affinity and spreading cannot tell apart. A workload's pods are one class however many there are,
//! so that a selector is compared once per class and not once per pod.

use crate::affinity::Affinity;
use crate::labels::Labels;
use crate::pod::Pod;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What pods of a class have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Class {
    pub(crate) namespace: Box<str>,
    pub(crate) labels: Labels,
    pub(crate) terminating: bool,
    pub(crate) affinity: Arc<Affinity>,
}

impl Class {
    fn of(pod: &Pod) -> Self {
        Self {
            namespace: pod.namespace().into(),
            labels: pod.labels.clone(),
            terminating: pod.terminating,
            affinity: Arc::clone(&pod.affinity),
        }
    }
}

/// The classes of all pods that are somewhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classes {
    all: Vec<Arc<Class>>,
    members: Vec<u32>,
    free: Vec<u32>,
    by_class: FxHashMap<Arc<Class>, u32>,
    /// How many classes ask something of the pods beside them.
    affine: usize,
}

impl Classes {
    /// The class of a pod, which becomes a member.
    pub(crate) fn enter(&mut self, pod: &Pod) -> u32 {
        let class = Class::of(pod);
        if let Some(&at) = self.by_class.get(&class) {
            self.members[at as usize] += 1;
            return at;
        }
        let class = Arc::new(class);
        self.affine += usize::from(!class.affinity.is_empty());
        let at = if let Some(at) = self.free.pop() {
            self.all[at as usize] = Arc::clone(&class);
            self.members[at as usize] = 1;
            at
        } else {
            self.all.push(Arc::clone(&class));
            self.members.push(1);
            u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
        };
        self.by_class.insert(class, at);
        at
    }

    /// A member leaves; a class without members is forgotten.
    pub(crate) fn leave(&mut self, at: u32) {
        let members = &mut self.members[at as usize];
        *members -= 1;
        if *members == 0 {
            let class = &self.all[at as usize];
            self.affine -= usize::from(!class.affinity.is_empty());
            self.by_class.remove(class);
            self.free.push(at);
        }
    }

    pub(crate) fn get(&self, at: u32) -> &Class {
        &self.all[at as usize]
    }

    /// One more than the largest number of a class.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Numbers that no class has at present.
    pub(crate) fn unused(&self) -> usize {
        self.free.len()
    }

    /// Whether some class asks something of the pods beside it.
    pub(crate) fn any_affinity(&self) -> bool {
        self.affine > 0
    }
}
