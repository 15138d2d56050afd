//! Two bound forms compared by what they mean: pods by name, peers by address.

use moat_compile::Changed;
use moat_ir::{
    Answer, Bound, Decision, Direction, End, Flow, Management, PodIdx, Program, ProgramId, Splice,
    StageKind, Why,
};
use moat_sets::{AddrSet, DomainPattern, Family, PortSet, Protocol, ServicePoint};
use moat_testkit::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Outside ends and ports that are asked about.
pub(crate) struct Asked {
    outside: Vec<End>,
    points: Vec<ServicePoint>,
}

impl Asked {
    pub(crate) fn new(
        before: &Bound,
        after: &Bound,
        points: &[(Protocol, u16)],
        rng: &mut Rng,
    ) -> Self {
        let mut addresses: BTreeSet<IpAddr> = BTreeSet::new();
        for bound in [before, after] {
            addresses.extend(bound.pod_by_address.keys());
            addresses.extend(bound.node_by_address.keys());
            addresses.extend(bound.atoms.v4.iter().map(|&low| IpAddr::V4(low.into())));
            addresses.extend(bound.atoms.v6.iter().map(|&low| IpAddr::V6(low.into())));
        }
        let mut addresses: Vec<IpAddr> = addresses.into_iter().collect();
        rng.shuffle(&mut addresses);
        addresses.truncate(10);
        let mut outside: Vec<End> = addresses.into_iter().map(End::Address).collect();
        if let Some(domain) = after.atoms.domains.first() {
            outside.push(End::Domain(domain.as_str().replace('*', "x.y").into()));
        }
        let points = (0..5).map(|_| *rng.pick(points));
        let points = points.map(|(protocol, port)| ServicePoint::new(protocol, port)).collect();
        Self { outside, points }
    }

    /// Each answer about pairs of these pods, and of these pods with the outside.
    fn answers<'a>(
        &'a self,
        bound: &'a Bound,
        pods: &'a [PodIdx],
    ) -> impl Iterator<Item = Answer> + 'a {
        let ends =
            move || pods.iter().map(|&pod| End::Pod(pod)).chain(self.outside.iter().cloned());
        ends()
            .flat_map(move |from| ends().map(move |to| (from.clone(), to)))
            .filter(|(from, to)| {
                matches!(from, End::Pod(_))
                    || (matches!(to, End::Pod(_)) && !matches!(from, End::Domain(_)))
            })
            .flat_map(move |(from, to)| {
                Family::BOTH.into_iter().flat_map(move |family| {
                    let (from, to) = (from.clone(), to.clone());
                    self.points.iter().map(move |&point| {
                        let (from, to) = (from.clone(), to.clone());
                        bound.decide(&Flow { from, to, point, family })
                    })
                })
            })
    }
}

/// What a program does: with whom, for each assignment of ports.
type Content =
    BTreeMap<Vec<(PortSet, Decision)>, (AddrSet, BTreeSet<DomainPattern>, BTreeSet<String>)>;

/// What a program does, said without numbers of atoms and classes.
fn content(bound: &Bound, program: &Program) -> Content {
    let mut out = Content::new();
    for cell in bound.outcomes(program).unwrap() {
        let addresses = bound.atoms.addresses(&cell.peers);
        let mut domains = BTreeSet::new();
        let mut pods = BTreeSet::new();
        for atom in cell.peers.iter().filter(|&atom| atom >= bound.atoms.n_addresses()) {
            match bound.atoms.get(atom).unwrap() {
                moat_ir::AtomKind::Domain(domain) => {
                    domains.insert(domain);
                }
                moat_ir::AtomKind::Pods { class, family } => pods.extend(
                    bound
                        .class(class)
                        .pods
                        .iter()
                        .map(|&pod| format!("{} {family:?}", bound.pod(pod).display)),
                ),
                moat_ir::AtomKind::Addresses { .. } => {}
            }
        }
        if !addresses.is_empty() || !domains.is_empty() || !pods.is_empty() {
            let (all, names, own) = out.entry(cell.ports).or_default();
            *all = all.union(&addresses);
            names.extend(domains);
            own.extend(pods);
        }
    }
    out
}

fn present(bound: &Bound) -> BTreeMap<&str, PodIdx> {
    let pods = bound.pods.iter().zip(0..).filter(|(pod, _)| !pod.is_gone());
    pods.map(|(pod, idx)| (&*pod.display, idx)).collect()
}

fn ensure(is_so: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(what()) }
}

/// Both forms mean the same.
pub(crate) fn same_meaning(kept: &Bound, fresh: &Bound, asked: &Asked) -> Result<(), String> {
    let (ours, theirs) = (present(kept), present(fresh));
    ensure(ours.keys().eq(theirs.keys()), || format!("pods {ours:?} not {theirs:?}"))?;
    let by_name = |bound: &Bound| -> BTreeMap<IpAddr, String> {
        let all = bound.pod_by_address.iter();
        all.map(|(&at, &pod)| (at, bound.pod(pod).display.to_string())).collect()
    };
    ensure(by_name(kept) == by_name(fresh), || {
        format!("addresses {:?} not {:?}", by_name(kept), by_name(fresh))
    })?;
    ensure(kept.node_by_address == fresh.node_by_address, || "nodes".to_owned())?;
    let mut known = BTreeMap::new();
    for (name, &our) in &ours {
        let their = theirs[name];
        let (mut a, mut b) = (kept.pod(our).clone(), fresh.pod(their).clone());
        (a.class, b.class) = (0, 0);
        ensure(a == b, || format!("{a:?} not {b:?}"))?;
        let (a, b) = (kept.class_of(our), fresh.class_of(their));
        ensure(a.management == b.management, || format!("{name} is {:?}", a.management))?;
        for direction in Direction::BOTH {
            let (Some(a), Some(b)) = (a.program(direction), b.program(direction)) else { continue };
            known.entry((a, b)).or_insert_with(|| {
                let a = content(kept, kept.program(a));
                let b = content(fresh, fresh.program(b));
                ensure(a == b, || format!("{direction} of {name}: {a:#?} not {b:#?}"))
            });
        }
    }
    known.into_values().collect::<Result<(), String>>()?;
    let (ours, theirs): (Vec<PodIdx>, Vec<PodIdx>) =
        (ours.into_values().collect(), theirs.into_values().collect());
    let answers = asked.answers(kept, &ours).zip(asked.answers(fresh, &theirs));
    for (a, b) in answers {
        ensure(a == b, || format!("an answer: {a:?} not {b:?}"))?;
    }
    Ok(())
}

/// What must be so in every bound form.
pub(crate) fn invariants(bound: &Bound) -> Result<(), String> {
    let mut classes = BTreeMap::new();
    for (class, idx) in bound.classes.iter().zip(0..) {
        ensure(class.pods.is_sorted(), || format!("class {idx} is not in order"))?;
        classes.extend(class.pods.iter().map(|&pod| (pod, idx)));
    }
    let members: usize = bound.classes.iter().map(|class| class.pods.len()).sum();
    ensure(members == present(bound).len(), || format!("{members} pods are in classes"))?;
    for (pod, idx) in bound.pods.iter().zip(0..) {
        let class = classes.get(&idx);
        ensure(class == Some(&pod.class).filter(|_| !pod.is_gone()), || {
            format!("{} is in class {class:?} not {}", pod.display, pod.class)
        })?;
        let is_managed = bound.class_of(idx).management != Management::Unmanaged;
        ensure(!(pod.is_gone() && is_managed), || "a pod that is gone is managed".to_owned())?;
    }
    for (set, idx) in bound.peer_sets.iter().zip(0_usize..) {
        let n_beyond =
            set.must.union(&set.may).iter().filter(|&at| at >= bound.atoms.len()).count();
        ensure(n_beyond == 0, || format!("set {idx} has what is not"))?;
        ensure(set.must.is_disjoint(&set.may), || format!("set {idx} is of two minds"))?;
    }
    let all = bound.peer_sets.first().map(|set| set.must.len());
    ensure(all == Some(u64::from(bound.atoms.len())), || "everyone is not all".to_owned())?;
    for program in &bound.programs {
        let last = program.stages.last().map(|stage| stage.kind);
        let total = matches!(last, Some(StageKind::Default | StageKind::Namespace));
        ensure(total, || "a program is not total".to_owned())?;
    }
    Ok(())
}

/// Nothing else has changed than what is told.
pub(crate) fn honest(
    before: &Bound,
    after: &Bound,
    changed: &Changed,
    asked: &Asked,
) -> Result<(), String> {
    let told: BTreeMap<PodIdx, &[IpAddr]> = match changed {
        Changed::Whole => return Ok(()),
        Changed::Nothing | Changed::Policy(..) | Changed::Policies(_) => BTreeMap::new(),
        Changed::Pods(pods) => pods.iter().map(|one| (one.pod, &*one.before)).collect(),
    };
    let atoms = |bound: &Bound| {
        (bound.atoms.v4.clone(), bound.atoms.v6.clone(), bound.atoms.domains.clone())
    };
    ensure(atoms(before) == atoms(after), || "address atoms".to_owned())?;
    let n_kept = before.atoms.pods.len();
    ensure(Some(&*before.atoms.pods) == after.atoms.pods.get(..n_kept), || "atoms".to_owned())?;
    ensure(before.node_by_address == after.node_by_address, || "nodes".to_owned())?;
    let mut others = Vec::new();
    for (pod, idx) in after.pods.iter().zip(0..) {
        let old = before.pods.get(idx as usize);
        match told.get(&idx) {
            Some(addresses) => {
                let had = old.map_or(&[][..], |old| &old.addresses);
                ensure(*addresses == had, || format!("{} had not {addresses:?}", pod.display))?;
            }
            None => {
                ensure(old == Some(pod), || format!("{old:?} is {pod:?}"))?;
                others.push(idx);
            }
        }
    }
    for (bound, other) in [(before, after), (after, before)] {
        for (address, pod) in &bound.pod_by_address {
            let same = other.pod_by_address.get(address) == Some(pod);
            ensure(same || told.contains_key(pod), || format!("who has {address}"))?;
        }
    }
    if let Changed::Policy(splice, programs) = changed {
        honest_policy(before, after, splice, programs)?;
    }
    if matches!(changed, Changed::Policy(..) | Changed::Policies(_)) {
        return ensure(before.classes.len() == after.classes.len(), || "classes".to_owned());
    }
    for (a, b) in before.programs.iter().zip(&after.programs) {
        ensure(a == b, || "a program".to_owned())?;
    }
    ensure(before.programs.len() <= after.programs.len(), || "programs".to_owned())?;
    for (a, b) in before.peer_sets.iter().zip(&after.peer_sets) {
        let own = moat_sets::IdSet::range(0, before.atoms.len());
        let same = b.must.intersect(&own) == a.must && b.may.intersect(&own) == a.may;
        ensure(same, || "a peer set".to_owned())?;
    }
    for (a, b) in asked.answers(before, &others).zip(asked.answers(after, &others)) {
        ensure(a == b, || format!("an answer: {a:?} is {b:?}"))?;
    }
    Ok(())
}

/// No other programs mean something else, but that policies and clauses have other numbers.
fn honest_policy(
    before: &Bound,
    after: &Bound,
    splice: &Splice,
    told: &[ProgramId],
) -> Result<(), String> {
    for (own, idx) in before.programs.iter().zip(0..) {
        if told.contains(&idx) {
            continue;
        }
        let mut moved = own.clone();
        for clause in moved.stages.iter_mut().flat_map(|stage| &mut stage.clauses) {
            match &mut clause.why {
                Why::Rule(idx) => *idx = splice.clauses.moved(*idx).ok_or("a clause that went")?,
                Why::Isolated(policies) => {
                    let moved = policies.iter().map(|&idx| splice.policies.moved(idx));
                    *policies = moved.collect::<Option<_>>().ok_or("a policy that went")?;
                }
                Why::Default => {}
            }
        }
        ensure(after.programs.get(idx as usize) == Some(&moved), || format!("program {idx}"))?;
    }
    let new = before.programs.len()..after.programs.len();
    ensure(new.into_iter().all(|id| told.contains(&u32::try_from(id).unwrap())), || {
        "a program that came".to_owned()
    })?;
    for (old, new) in before.peer_sets.iter().zip(&after.peer_sets) {
        ensure(old == new, || "a peer set of other policies".to_owned())?;
    }
    for (old, new) in splice.kept.iter().copied() {
        let (old, new) = (before.symbolic.clause(old), after.symbolic.clause(new));
        ensure(old.peer == new.peer && old.ports == new.ports, || "a clause kept".to_owned())?;
    }
    Ok(())
}

/// An old state is what it was.
pub(crate) fn untouched(before: &Bound, held: &Bound) -> Result<(), String> {
    ensure(before.pods == held.pods, || "pods".to_owned())?;
    ensure(before.classes == held.classes, || "classes".to_owned())?;
    ensure(before.programs == held.programs, || "programs".to_owned())?;
    ensure(before.peer_sets == held.peer_sets, || "peer sets".to_owned())
}
