//! Events have two forms, `v1` of the core and `v1` of `events.k8s.io`: the same fields, some under other names.

use crate::object::map_mut;
use serde_json::{Map, Value};

/// Names of the core's fields, and those of `events.k8s.io`, which keeps what is old under names that say so.
const FIELDS: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

pub(super) fn to_events(value: &mut Value) {
    rename(value, |(core, events)| (core, events));
}

pub(super) fn to_core(value: &mut Value) {
    rename(value, |(core, events)| (events, core));
    // The core's type has no way to leave these out.
    if let Some(map) = value.as_object_mut() {
        map_mut(map, "involvedObject");
        map_mut(map, "source");
    }
}

fn rename(
    value: &mut Value,
    way: impl Fn(&(&'static str, &'static str)) -> (&'static str, &'static str),
) {
    let Some(map) = value.as_object_mut() else { return };
    let rest = std::mem::take(map);
    let renamed = rest.into_iter().map(|(key, inner)| {
        let found = FIELDS.iter().map(&way).find(|(from, _)| *from == key);
        (found.map_or(key, |(_, to)| to.to_owned()), inner)
    });
    *map = renamed.collect::<Map<_, _>>();
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_that_went_through_the_other_group_is_what_it_was() {
        let core = json!({
            "metadata": {"name": "a"}, "involvedObject": {"kind": "Pod"}, "message": "m", "reportingComponent": "c", "source": {"host": "h"},
            "firstTimestamp": null, "count": 3, "type": "Normal", "reason": "r", "series": {"count": 2},
        });
        let mut value = core.clone();
        to_events(&mut value);
        assert_eq!(value["note"], "m");
        assert_eq!(value["deprecatedCount"], 3);
        assert_eq!(value["regarding"]["kind"], "Pod");
        to_core(&mut value);
        assert_eq!(value, core);
    }
}
