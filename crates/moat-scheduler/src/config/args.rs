//! Arguments of plug-ins, with upstream's defaults and bounds.

use super::plugins::named;
use super::reader::{Fields, Reader, json};
use crate::affinity::Spread;
use crate::labels::{Labels, NodeSelector};
use crate::pod::preferred;
use crate::profile::{Args, Plugin, Strategy};
use moat_model::Value;
use std::collections::BTreeSet;

/// Reads the arguments of a plug-in. `entry` is the mapping that names it.
pub(super) fn read(
    reader: &mut Reader,
    name: &str,
    value: &Value,
    path: &str,
    entry: &Fields<'_>,
    args: &mut Args,
) {
    let plugin = match named(name) {
        Ok(plugin) => plugin,
        Err(why) => return entry.wrong(reader, "name", &why),
    };
    let Some(mut fields) = Fields::of(reader, value, path) else { return };
    let kind = format!("{name}Args");
    for (field, want) in [("apiVersion", "kubescheduler.config.k8s.io/v1"), ("kind", kind.as_str())]
    {
        if let Some(found) = fields.text(reader, field).filter(|found| *found != want) {
            fields.wrong(reader, field, &format!("is {found:?}, and must be {want:?}"));
        }
    }
    match plugin {
        Plugin::DefaultPreemption => preemption(reader, &mut fields, args),
        Plugin::InterPodAffinity => {
            if let Some(weight) = fields.int(reader, "hardPodAffinityWeight", 0, 100) {
                args.hard_weight = weight;
            }
            args.ignore_existing =
                fields.bool(reader, "ignorePreferredTermsOfExistingPods").unwrap_or(false);
        }
        Plugin::NodeAffinity => node_affinity(reader, &mut fields, path, args),
        Plugin::NodeResourcesFit => fit(reader, &mut fields, path, args),
        Plugin::NodeResourcesBalancedAllocation => {
            if let Some(resources) = resources(reader, &mut fields, 1) {
                args.balanced = resources.into_iter().map(|(name, _)| name).collect();
            }
        }
        Plugin::PodTopologySpread => spread(reader, &mut fields, args),
        Plugin::VolumeBinding => {
            if let Some(seconds) = fields.int(reader, "bindTimeoutSeconds", 0, i64::MAX) {
                let why =
                    format!("is not supported: nothing waits {seconds} seconds for a volume here");
                fields.wrong(reader, "bindTimeoutSeconds", &why);
            }
        }
        _ => {
            entry.wrong(reader, "name", &format!("plugin {name:?} takes no arguments"));
            return;
        }
    }
    fields.finish(reader);
}

/// An entry without arguments says nothing, but of a plug-in that exists.
pub(super) fn no_args(reader: &mut Reader, name: &str, entry: &Fields<'_>) {
    if let Err(why) = named(name) {
        entry.wrong(reader, "name", &why);
    }
}

fn preemption(reader: &mut Reader, fields: &mut Fields<'_>, args: &mut Args) {
    let percentage = fields.int(reader, "minCandidateNodesPercentage", 0, 100);
    let min = fields.int(reader, "minCandidateNodesAbsolute", 0, i64::from(i32::MAX));
    args.candidates_percentage = percentage.unwrap_or(args.candidates_percentage);
    args.candidates_min = min.unwrap_or(args.candidates_min);
    if args.candidates_percentage == 0 && args.candidates_min == 0 {
        let why = "cannot be zero at the same time as minCandidateNodesAbsolute";
        fields.wrong(reader, "minCandidateNodesPercentage", why);
    }
}

fn node_affinity(reader: &mut Reader, fields: &mut Fields<'_>, path: &str, args: &mut Args) {
    const MUST: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const MAY: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    let Some(value) = fields.take("addedAffinity") else { return };
    let path = format!("{path}.addedAffinity");
    let Some(mut added) = Fields::of(reader, value, &path) else { return };
    if let Some(required) = added.take(MUST) {
        let place = format!("{path}.{MUST}");
        if let Some(mut selector) = Fields::of(reader, required, &place) {
            for (term, place) in items(reader, &mut selector, "nodeSelectorTerms") {
                check_term(reader, term, &place);
            }
            selector.finish(reader);
        }
        match NodeSelector::read(&json(required)) {
            Ok(selector) => args.added_required = Some(selector),
            Err(why) => added.wrong(reader, MUST, &why),
        }
    }
    for (item, place) in items(reader, &mut added, MAY) {
        let Some(mut one) = Fields::of(reader, item, &place) else { continue };
        one.int(reader, "weight", 1, 100);
        if let Some(term) = one.take("preference") {
            check_term(reader, term, &format!("{place}.preference"));
        }
        one.finish(reader);
    }
    match preferred(&json(value)) {
        Ok(all) => args.added_preferred = all,
        Err(why) => added.wrong(reader, MAY, &why),
    }
    added.finish(reader);
}

/// Items of a list with their paths.
fn items<'v>(
    reader: &mut Reader,
    fields: &mut Fields<'v>,
    field: &'static str,
) -> Vec<(&'v Value, String)> {
    let found = fields.list(reader, field);
    let with_path = |(items, path): (&'v [Value], String)| {
        let each = items.iter().enumerate();
        each.map(|(at, item)| (item, format!("{path}[{at}]"))).collect()
    };
    found.map(with_path).unwrap_or_default()
}

fn check_term(reader: &mut Reader, term: &Value, path: &str) {
    let Some(mut fields) = Fields::of(reader, term, path) else { return };
    for field in ["matchExpressions", "matchFields"] {
        for (item, place) in items(reader, &mut fields, field) {
            let Some(mut one) = Fields::of(reader, item, &place) else { continue };
            if one.text(reader, "key").is_none_or(str::is_empty) {
                one.wrong(reader, "key", "must be given");
            }
            one.text(reader, "operator");
            one.texts(reader, "values");
            one.finish(reader);
        }
    }
    fields.finish(reader);
}

fn fit(reader: &mut Reader, fields: &mut Fields<'_>, path: &str, args: &mut Args) {
    args.ignored = fields.texts(reader, "ignoredResources");
    args.ignored_groups = fields.texts(reader, "ignoredResourceGroups");
    if let Some(group) = args.ignored_groups.iter().find(|group| group.contains('/')) {
        let why = format!("{group:?}: resource group name can't contain '/'");
        fields.wrong(reader, "ignoredResourceGroups", &why);
    }
    let Some(value) = fields.take("scoringStrategy") else { return };
    let path = format!("{path}.scoringStrategy");
    let Some(mut strategy) = Fields::of(reader, value, &path) else { return };
    let shape = match strategy.take("requestedToCapacityRatio") {
        Some(value) => {
            let path = format!("{path}.requestedToCapacityRatio");
            Fields::of(reader, value, &path).map(|mut fields| {
                let points = shape(reader, &mut fields);
                fields.finish(reader);
                points
            })
        }
        None => None,
    };
    let kind = strategy.text(reader, "type").unwrap_or_default();
    args.strategy = match (kind, shape) {
        ("LeastAllocated", None) => Strategy::LeastAllocated,
        ("MostAllocated", None) => Strategy::MostAllocated,
        ("RequestedToCapacityRatio", Some(points)) => Strategy::RequestedToCapacityRatio(points),
        ("RequestedToCapacityRatio", None) => {
            let why = "must be specified when type is RequestedToCapacityRatio";
            strategy.wrong(reader, "requestedToCapacityRatio", why);
            Strategy::LeastAllocated
        }
        ("LeastAllocated" | "MostAllocated", Some(_)) => {
            let why = "must not be given when type is not RequestedToCapacityRatio";
            strategy.wrong(reader, "requestedToCapacityRatio", why);
            Strategy::LeastAllocated
        }
        _ => {
            let why = "must be LeastAllocated, MostAllocated or RequestedToCapacityRatio";
            strategy.wrong(reader, "type", &format!("is {kind:?}, and {why}"));
            Strategy::LeastAllocated
        }
    };
    if let Some(resources) = resources(reader, &mut strategy, 100) {
        args.resources = resources;
    }
    strategy.finish(reader);
}

/// Points of a line; scores go from 0 to 10.
fn shape(reader: &mut Reader, fields: &mut Fields<'_>) -> Vec<(i64, i64)> {
    let mut points: Vec<(i64, i64)> = Vec::new();
    for (item, place) in items(reader, fields, "shape") {
        let Some(mut one) = Fields::of(reader, item, &place) else { continue };
        let at = one.int(reader, "utilization", 0, 100).unwrap_or(0);
        let score = one.int(reader, "score", 0, 10).unwrap_or(0);
        if points.last().is_some_and(|(before, _)| *before >= at) {
            one.wrong(reader, "utilization", "values must be sorted in increasing order");
        }
        points.push((at, score * 10));
        one.finish(reader);
    }
    if points.is_empty() {
        fields.wrong(reader, "shape", "at least one point must be specified");
    }
    points
}

/// Resources with weights; nothing if none are given.
fn resources(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    weight_max: i64,
) -> Option<Vec<(Box<str>, i64)>> {
    let mut all: Vec<(Box<str>, i64)> = Vec::new();
    let mut seen = BTreeSet::new();
    for (item, place) in items(reader, fields, "resources") {
        let Some(mut one) = Fields::of(reader, item, &place) else { continue };
        let name = one.text(reader, "name").unwrap_or_default();
        if name.is_empty() {
            one.wrong(reader, "name", "must be given");
        } else if !seen.insert(name) {
            one.wrong(reader, "name", &format!("{name:?} is there twice"));
        }
        let weight = one.int(reader, "weight", 0, weight_max).filter(|weight| *weight > 0);
        all.push((name.into(), weight.unwrap_or(1)));
        one.finish(reader);
    }
    (!all.is_empty()).then_some(all)
}

fn spread(reader: &mut Reader, fields: &mut Fields<'_>, args: &mut Args) {
    let mut all: Vec<Spread> = Vec::new();
    for (item, place) in items(reader, fields, "defaultConstraints") {
        let Some(mut one) = Fields::of(reader, item, &place) else { continue };
        one.int(reader, "maxSkew", 1, i64::from(i32::MAX));
        one.int(reader, "minDomains", 1, i64::from(i32::MAX));
        if one.text(reader, "topologyKey").is_none_or(str::is_empty) {
            one.wrong(reader, "topologyKey", "can not be empty");
        }
        if one.text(reader, "whenUnsatisfiable").is_none_or(str::is_empty) {
            one.wrong(reader, "whenUnsatisfiable", "can not be empty");
        }
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            one.text(reader, field);
        }
        if one.take("labelSelector").is_some() || one.take("matchLabelKeys").is_some() {
            let why = "constraint must not define a selector, as they deduced for each pod";
            one.wrong(reader, "labelSelector", why);
        }
        match Spread::read(&json(item), &Labels::default()) {
            Ok(constraint) => {
                let same = |other: &Spread| {
                    (&other.topology_key, other.hard) == (&constraint.topology_key, constraint.hard)
                };
                if all.iter().any(same) {
                    one.wrong(reader, "topologyKey", "the same key is there twice");
                }
                all.push(constraint);
            }
            Err(why) => one.wrong(reader, "whenUnsatisfiable", &why),
        }
        one.finish(reader);
    }
    match fields.text(reader, "defaultingType").unwrap_or("System") {
        "List" => (args.spread, args.spread_system) = (all, false),
        "System" if all.is_empty() => {}
        "System" => {
            let why = "must be List where there are defaultConstraints";
            fields.wrong(reader, "defaultingType", why);
        }
        other => {
            let why = format!("is {other:?}, and must be System or List");
            fields.wrong(reader, "defaultingType", &why);
        }
    }
}
