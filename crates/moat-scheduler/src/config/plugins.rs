//! Which plug-ins run where: upstream's merge of the default set, `multiPoint`, and each extension point.

use super::reader::{Fields, Reader};
use crate::profile::{Plugin, Profile};
use moat_model::Value;

/// Where a plug-in can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    PreEnqueue,
    QueueSort,
    PreFilter,
    Filter,
    PostFilter,
    PreScore,
    Score,
    Reserve,
    Permit,
    PreBind,
    Bind,
    PostBind,
}

const POINTS: [(Point, &str); 12] = [
    (Point::PreEnqueue, "preEnqueue"),
    (Point::QueueSort, "queueSort"),
    (Point::PreFilter, "preFilter"),
    (Point::Filter, "filter"),
    (Point::PostFilter, "postFilter"),
    (Point::PreScore, "preScore"),
    (Point::Score, "score"),
    (Point::Reserve, "reserve"),
    (Point::Permit, "permit"),
    (Point::PreBind, "preBind"),
    (Point::Bind, "bind"),
    (Point::PostBind, "postBind"),
];

/// Upstream's plug-ins that this scheduler has not got. To turn one off is to say what is so.
const ABSENT: &[&str] = &[
    "VolumeRestrictions",
    "NodeVolumeLimits",
    "VolumeZone",
    "DynamicResources",
    "NodeDeclaredFeatures",
    "GangScheduling",
    "TopologyPlacementGenerator",
    "PodGroupPodsCount",
];

fn implements(plugin: Plugin, point: Point) -> bool {
    use Point::{
        Bind, Filter, PostFilter, PreBind, PreEnqueue, PreFilter, PreScore, QueueSort, Reserve,
        Score,
    };
    let points: &[Point] = match plugin {
        Plugin::SchedulingGates => &[PreEnqueue],
        Plugin::PrioritySort => &[QueueSort],
        Plugin::NodeUnschedulable | Plugin::NodeName => &[Filter],
        Plugin::TaintToleration => &[Filter, PreScore, Score],
        Plugin::NodeAffinity
        | Plugin::NodeResourcesFit
        | Plugin::PodTopologySpread
        | Plugin::InterPodAffinity => &[PreFilter, Filter, PreScore, Score],
        Plugin::NodePorts => &[PreFilter, Filter],
        Plugin::VolumeBinding => &[PreFilter, Filter, Reserve, PreBind],
        Plugin::DefaultPreemption => &[PostFilter],
        Plugin::NodeResourcesBalancedAllocation => &[PreScore, Score],
        Plugin::ImageLocality => &[Score],
        Plugin::DefaultBinder => &[Bind],
    };
    points.contains(&point)
}

/// Plug-ins that are turned on with a weight, and names that are turned off.
#[derive(Default)]
struct Set {
    enabled: Vec<(Plugin, Option<i64>)>,
    disabled: Vec<Plugin>,
    none: bool,
}

/// Settles the plug-ins of a profile.
pub(super) fn read(reader: &mut Reader, value: Option<&Value>, path: &str, profile: &mut Profile) {
    let Some(value) = value else { return };
    let Some(mut fields) = Fields::of(reader, value, path) else { return };
    let multi = set(reader, &mut fields, "multiPoint", path, None);
    let mut base: Vec<(Plugin, Option<i64>)> = Vec::new();
    if !multi.none {
        for &plugin in Plugin::ALL.iter().filter(|plugin| !multi.disabled.contains(plugin)) {
            let given = multi.enabled.iter().find(|(one, _)| *one == plugin);
            // Whoever turns a default plug-in on anew without a weight gets the weight 1, as upstream has it.
            base.push((plugin, given.map_or(Some(plugin.weight()), |(_, weight)| *weight)));
        }
    }
    for given in &multi.enabled {
        if !base.iter().any(|(plugin, _)| *plugin == given.0) {
            base.push(*given);
        }
    }
    let mut all = POINTS.map(|(point, name)| {
        let own = set(reader, &mut fields, name, path, Some((point, name)));
        (point, merged(point, &base, own))
    });
    for field in ["placementGenerate", "placementScore"] {
        if fields.take(field).is_some() {
            fields.wrong(reader, field, "is not supported: pods are placed one by one");
        }
    }
    let mut of = |wanted: Point| {
        let found = all.iter_mut().find(|(point, _)| *point == wanted);
        found.map(|(_, list)| std::mem::take(list)).unwrap_or_default()
    };
    let plain = |list: Vec<(Plugin, Option<i64>)>| -> Vec<Plugin> {
        list.into_iter().map(|(plugin, _)| plugin).collect()
    };
    let gates = of(Point::PreEnqueue);
    let (sort, bind) = (of(Point::QueueSort), of(Point::Bind));
    profile.gates = !gates.is_empty();
    profile.pre_filters = plain(of(Point::PreFilter));
    profile.filters = plain(of(Point::Filter));
    profile.preemption = !of(Point::PostFilter).is_empty();
    let pre_scores = plain(of(Point::PreScore));
    let weight = |(plugin, weight): (Plugin, Option<i64>)| (plugin, weight.unwrap_or(1));
    profile.scores = of(Point::Score).into_iter().map(weight).collect();
    let mut needs = |field: &str, why: &str| fields.wrong(reader, field, why);
    if sort.is_empty() {
        needs("queueSort", "one queue sort plugin is needed: PrioritySort");
    }
    if bind.is_empty() {
        needs("bind", "at least one bind plugin is needed: DefaultBinder");
    }
    for plugin in &profile.filters {
        if implements(*plugin, Point::PreFilter) && !profile.pre_filters.contains(plugin) {
            let why = format!("the filter of {} is on, and needs its preFilter", plugin.name());
            needs("preFilter", &why);
        }
    }
    for (plugin, _) in &profile.scores {
        let must = matches!(
            plugin,
            Plugin::TaintToleration | Plugin::PodTopologySpread | Plugin::InterPodAffinity
        );
        if must && !pre_scores.contains(plugin) {
            let why = format!("the score of {} is on, and needs its preScore", plugin.name());
            needs("preScore", &why);
        }
    }
    fields.finish(reader);
}

/// Those of `multiPoint` that its own setting overrides, the others of `multiPoint`, then those that only it names.
fn merged(point: Point, base: &[(Plugin, Option<i64>)], own: Set) -> Vec<(Plugin, Option<i64>)> {
    if own.none {
        return own.enabled;
    }
    let mut overridden = Vec::new();
    let mut others = Vec::new();
    for &(plugin, weight) in base {
        if !implements(plugin, point) || own.disabled.contains(&plugin) {
            continue;
        }
        match own.enabled.iter().find(|(one, _)| *one == plugin) {
            Some(given) => overridden.push(*given),
            None => others.push((plugin, weight)),
        }
    }
    let known = |plugin: Plugin| overridden.iter().chain(&others).any(|(one, _)| *one == plugin);
    let more: Vec<_> = own.enabled.iter().copied().filter(|(plugin, _)| !known(*plugin)).collect();
    overridden.into_iter().chain(others).chain(more).collect()
}

fn set(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    field: &'static str,
    path: &str,
    point: Option<(Point, &str)>,
) -> Set {
    let mut found = Set::default();
    let Some(value) = fields.take(field) else { return found };
    let Some(mut sides) = Fields::of(reader, value, &format!("{path}.{field}")) else {
        return found;
    };
    if let Some((items, path)) = sides.list(reader, "enabled") {
        for (at, item) in items.iter().enumerate() {
            let Some(mut one) = Fields::of(reader, item, &format!("{path}[{at}]")) else {
                continue;
            };
            let name = one.text(reader, "name").unwrap_or_default();
            let weight =
                one.int(reader, "weight", 0, i64::from(i32::MAX)).filter(|weight| *weight > 0);
            match named(name) {
                Ok(plugin) if found.enabled.iter().any(|(other, _)| *other == plugin) => {
                    one.wrong(reader, "name", &format!("{name:?} is enabled twice"));
                }
                Ok(plugin) => {
                    if let Some((_, word)) = point.filter(|(point, _)| !implements(plugin, *point))
                    {
                        let why = format!("plugin {name:?} does not extend {word} plugin");
                        one.wrong(reader, "name", &why);
                    }
                    found.enabled.push((plugin, weight));
                }
                Err(why) => one.wrong(reader, "name", &why),
            }
            one.finish(reader);
        }
    }
    if let Some((items, path)) = sides.list(reader, "disabled") {
        for (at, item) in items.iter().enumerate() {
            let Some(mut one) = Fields::of(reader, item, &format!("{path}[{at}]")) else {
                continue;
            };
            // A weight here is allowed, and means nothing, upstream too.
            one.take("weight");
            let name = one.text(reader, "name").unwrap_or_default();
            match named(name) {
                Ok(plugin) => found.disabled.push(plugin),
                Err(_) if name == "*" => found.none = true,
                Err(_) if ABSENT.contains(&name) => {}
                Err(why) => one.wrong(reader, "name", &why),
            }
            one.finish(reader);
        }
    }
    sides.finish(reader);
    found
}

/// The plug-in of a name.
pub(super) fn named(name: &str) -> Result<Plugin, String> {
    let found = Plugin::ALL.iter().copied().find(|plugin| plugin.name() == name);
    found.ok_or_else(|| {
        if ABSENT.contains(&name) {
            return format!("plugin {name:?} is not part of this scheduler");
        }
        let all: Vec<&str> = Plugin::ALL.iter().map(|plugin| plugin.name()).collect();
        format!("there is no plugin {name:?}; there are {}", all.join(", "))
    })
}
