//! A ruleset that follows changes is the one made anew, after any changes; and what it says has changed turns the one into the other.
//!
//! `MOAT_WORLDS` says how many worlds, `MOAT_SEED` runs one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use moat_bench::World;
use moat_compile::{Binding, Changed, Dialect, PolicyChange, compile};
use moat_ir::Bound;
use moat_load::Input;
use moat_nft::edit::{Edit, looked_up};
use moat_nft::model::{Name, Rule, Statement, Table, Verdict};
use moat_nft::print;
use moat_nft::render::{Node, Refused, Ruleset, Settings, What, render};
use moat_rig::place::place;
use moat_testkit::changes::{Pool, Step, only};
use moat_testkit::rng::Rng;
use moat_testkit::settings::{Settings as Bounds, seeds};
use moat_testkit::{agree, engine, generate};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const STEPS: usize = 12;

/// How often what came out.
type Counts = BTreeMap<String, usize>;

/// What a node's ruleset is made for: its pods with their addresses.
fn spec(bound: &Bound, node: &str) -> Node {
    Node::of(bound, node, 0..u32::try_from(bound.pods.len()).unwrap())
}

/// Whether two tables say the same in the same order; only names of groups, of their sets and of rows may differ, because a group keeps its
/// name when its program becomes another, and a row its chain when it says something else.
fn same(now: &Table, fresh: &Table) -> Result<(), String> {
    if now == fresh {
        return Ok(());
    }
    let (now, fresh) = (&in_order(now), &in_order(fresh));
    let named = Names::of(now, fresh).say(now);
    if named == *fresh {
        return Ok(());
    }
    let wrong = Edit::remaking(&named, fresh);
    Err(format!("from what followed to what is made anew:\n{}", print::ops("moat", &wrong.ops())))
}

/// The table with the rules that begin groups in the order of the least elements of the sets that they ask: no two of these sets have one in
/// common, so their order means nothing.
fn in_order(table: &Table) -> Table {
    let mut table = table.clone();
    let least = |rule: &Rule| match &rule.statements[..] {
        [Statement::Lookup { key, set, negate: false }, ..] if key.len() == 1 => {
            let set = table.sets.get(set).filter(|set| !set.interval && !set.map);
            set.and_then(|set| set.elements.keys().next())
        }
        _ => None,
    };
    for chain in table.chains.values_mut() {
        let n_first = chain.rules.iter().take_while(|rule| least(rule).is_some()).count();
        chain.rules[..n_first].sort_by(|one, other| least(one).cmp(&least(other)));
    }
    table
}

/// What stands for what of another table, as far as both say the same.
#[derive(Default)]
struct Names {
    chains: BTreeMap<Name, Name>,
    sets: BTreeMap<Name, Name>,
}

impl Names {
    fn of(table: &Table, other: &Table) -> Self {
        let mut names = Self::default();
        for (name, _) in table.chains.iter().filter(|(_, chain)| chain.base.is_some()) {
            names.chain(table, other, name, name);
        }
        names
    }

    fn chain(&mut self, table: &Table, other: &Table, name: &Name, theirs: &Name) {
        if self.chains.insert(name.clone(), theirs.clone()).is_some() {
            return;
        }
        let rules = |of: &Table, name: &Name| of.chains.get(name).map(|own| own.rules.clone());
        let (own, theirs) = (rules(table, name), rules(other, theirs));
        let both = own.into_iter().flatten().zip(theirs.into_iter().flatten());
        for (rule, their) in both {
            for (own, their) in looked_up(&rule).zip(looked_up(&their)) {
                self.set(table, other, own, their);
            }
            for (own, their) in rule.statements.iter().zip(&their.statements) {
                if let (Statement::Verdict(own), Statement::Verdict(their)) = (own, their) {
                    self.verdict(table, other, own, their);
                }
            }
        }
    }

    fn set(&mut self, table: &Table, other: &Table, name: &Name, theirs: &Name) {
        if self.sets.insert(name.clone(), theirs.clone()).is_some() {
            return;
        }
        let (Some(own), Some(their)) = (table.sets.get(name), other.sets.get(theirs)) else {
            return;
        };
        for (own, their) in own.elements.values().zip(their.elements.values()) {
            if let (Some(own), Some(their)) = (own, their) {
                self.verdict(table, other, own, their);
            }
        }
    }

    fn verdict(&mut self, table: &Table, other: &Table, own: &Verdict, their: &Verdict) {
        if let (
            Verdict::Goto(own) | Verdict::Jump(own),
            Verdict::Goto(their) | Verdict::Jump(their),
        ) = (own, their)
        {
            self.chain(table, other, own, their);
        }
    }

    /// A table in the other's names.
    fn say(&self, table: &Table) -> Table {
        let mut said = Table::new(&table.name);
        let verdict = |verdict: &mut Verdict| {
            if let Verdict::Goto(name) | Verdict::Jump(name) = verdict {
                *name = self.chains.get(name).unwrap_or(name).clone();
            }
        };
        for (name, set) in &table.sets {
            let mut set = set.clone();
            set.elements.values_mut().flatten().for_each(verdict);
            said.sets.insert(self.sets.get(name).unwrap_or(name).clone(), set);
        }
        for (name, chain) in &table.chains {
            let mut chain = chain.clone();
            for statement in chain.rules.iter_mut().flat_map(|rule| &mut rule.statements) {
                match statement {
                    Statement::Lookup { set: name, .. } | Statement::Vmap { map: name, .. } => {
                        *name = self.sets.get(name).unwrap_or(name).clone();
                    }
                    Statement::Verdict(end) => verdict(end),
                    _ => {}
                }
            }
            said.chains.insert(self.chains.get(name).unwrap_or(name).clone(), chain);
        }
        said
    }
}

fn check(seed: u64) -> Result<Counts, String> {
    let mut rng = Rng::new(seed ^ 0x666f_6c6c);
    let objects = generate::world(seed, &Bounds::DEFAULT).objects;
    let mut lowered = engine::lower(&objects);
    place(&mut lowered.inventory, 2);
    let pool = Pool::new(&lowered, seed);
    let mut policies = lowered.policies;
    let mut binding =
        Binding::new(Arc::new(compile(&policies, &[])), lowered.inventory, Dialect::MOAT);
    let nodes: Vec<Arc<str>> =
        binding.inventory().nodes.iter().map(|node| node.name.clone()).collect();
    // Few enough for some groups to be too large at times.
    let elements_max = *rng.pick(&[3, 1 << 18, 1 << 18]);
    let rows_max = *rng.pick(&[1, 2, 16]);
    let dispatch_room = *rng.pick(&[1, 2, 16]);
    let settings = Settings { elements_max, rows_max, dispatch_room, ..Settings::default() };
    let mut rulesets: Vec<Ruleset> = nodes
        .iter()
        .map(|node| Ruleset::new(binding.bound(), None, &spec(binding.bound(), node), &settings))
        .collect();
    let mut counts = Counts::new();
    let mut history = Vec::new();
    for _ in 0..STEPS {
        let before = policies.clone();
        let step = pool.step(&mut rng, binding.inventory(), &mut policies);
        history.push(format!("{step:?}"));
        let changed = match step {
            Step::Pods(_, changes) => binding.pods(changes),
            Step::Policies => match only(&before, &policies) {
                Some(change) if rng.eighths(6) => binding.policy(change),
                _ => binding.policies(Arc::new(compile(&policies, &[]))),
            },
            Step::Replace(inventory) => binding.replace(inventory),
        };
        let told = || format!("seed {seed}: after {}", history.join("\nthen "));
        for (node, ruleset) in nodes.iter().zip(&mut rulesets) {
            let bound = binding.bound();
            let mut before = ruleset.table().clone();
            let own = spec(bound, node);
            let list;
            let (name, what) = match &changed {
                Changed::Nothing => continue,
                Changed::Pods(_) => {
                    list = changed.addresses(bound);
                    ("pods", What::Addresses(&list))
                }
                Changed::Policy(splice, programs) => ("policy", What::Policy(splice, programs)),
                Changed::Policies(before) => ("policies", What::Policies(before)),
                Changed::Whole => ("whole", What::All),
            };
            let edit: Edit = ruleset.follow(bound, None, &own, what);
            let kind = match (edit.is_empty(), edit.refill.is_empty()) {
                (true, _) => "nothing",
                (_, true) => "elements only",
                _ => "rules",
            };
            *counts.entry(format!("{name}: {kind}")).or_default() += 1;
            edit.apply_to(&mut before);
            if before != *ruleset.table() {
                let wrong = Edit::remaking(&before, ruleset.table());
                let wrong = print::ops("moat", &wrong.ops());
                return Err(format!("not told: {}{wrong}", told()));
            }
            // From the same bound form: one that is bound anew means the same, but port names that no pod has any more are gone from it.
            let anew = render(bound, &own, &settings);
            same(ruleset.table(), &anew.table).map_err(|e| format!("{}{e}", told()))?;
            if ruleset.reasons().0 != &anew.reasons {
                let own = ruleset
                    .reasons()
                    .0
                    .iter()
                    .filter(|(id, own)| anew.reasons.get(id) != Some(own));
                let own: Vec<_> = own.map(|(id, own)| (own, anew.reasons.get(id))).collect();
                return Err(format!("reasons differ, followed and anew: {own:?} {}", told()));
            }
            // Of programs that mean the same, a group is known by any.
            let words = |all: &[Refused]| -> BTreeSet<String> {
                all.iter().map(|own| format!("{:?} {:?}", own.policies, own.excess)).collect()
            };
            let (refused, wanted) = (words(ruleset.refused()), words(&anew.refused));
            if refused != wanted {
                return Err(format!("refused differ: {refused:?} {wanted:?} {}", told()));
            }
        }
    }
    Ok(counts)
}

#[test]
fn what_follows_is_what_is_made_anew() {
    let (first, n) = seeds(1200);
    let sum = agree::tally(first, n, check);
    println!("{sum:#?}");
    for kind in [
        "pods: elements only",
        "pods: rules",
        "policies: rules",
        "policy: rules",
        "policy: nothing",
    ] {
        assert!(n < 1200 || sum.get(kind).is_some_and(|n| *n > 10), "{kind}: {sum:#?}");
    }
}

const SHOP: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}, spec: {nodeName: here, containers: [{name: c, image: i}]}, status: {podIPs: [{ip: 10.244.0.2}, {ip: fd00::2}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop, labels: {app: db}}, spec: {nodeName: here, containers: [{name: c, image: i}]}, status: {podIPs: [{ip: 10.244.0.3}, {ip: fd00::3}]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: db, namespace: shop}, spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: PORT}]}]}}
";

/// Another port is other rules of the row that says it, in its chain, which the groups of both families lead to as before.
#[test]
fn another_port_is_other_rules_of_its_row() {
    let world = |port: &str| {
        let text = SHOP.replace("PORT", port);
        World::read(&[Input::Text { name: "shop.yaml".into(), text }]).lowered
    };
    let (before, after) = (world("5432"), world("5433"));
    let symbolic = Arc::new(compile(&before.policies, &[]));
    let mut binding = Binding::new(symbolic, before.inventory, Dialect::MOAT);
    let node = spec(binding.bound(), "here");
    let mut ruleset = Ruleset::new(binding.bound(), None, &node, &Settings::default());
    let changed = binding.policy(PolicyChange::Set(after.policies[0].clone()));
    let Changed::Policy(splice, programs) = &changed else { panic!("{changed:?}") };
    let edit = ruleset.follow(binding.bound(), None, &node, What::Policy(splice, programs));
    let chains: Vec<&Name> = edit.refill.keys().collect();
    assert!(matches!(chains[..], [row] if row.starts_with("ports_ingress_")), "{edit:#?}");
    assert_eq!(edit, Edit { refill: edit.refill.clone(), ..Edit::default() });
}
