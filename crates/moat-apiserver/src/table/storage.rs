//! Rows of what drivers of volumes say of themselves.

use super::{Column, Columns, age, count, shown};
use crate::object::{list, meta, text};
use crate::part::Keep;
use serde_json::Value;

/// A column of yes and no.
const fn flag(name: &'static str) -> Column {
    Column(name, "boolean", false)
}

pub(super) const DRIVER: Columns = Columns {
    columns: &[
        shown("Name"),
        flag("AttachRequired"),
        flag("PodInfoOnMount"),
        flag("StorageCapacity"),
        shown("TokenRequests"),
        flag("RequiresRepublish"),
        shown("Modes"),
        shown("Age"),
    ],
    reads: Keep::All,
    cells: |object| {
        let spec = &object["spec"];
        let is = |field: &str, unsaid: bool| Value::from(spec[field].as_bool().unwrap_or(unsaid));
        let joined = |all: Vec<&str>| all.join(",");
        let requests = list(spec, "/tokenRequests");
        let audiences = joined(requests.iter().map(|one| text(one, "/audience")).collect());
        let modes = list(spec, "/volumeLifecycleModes").iter().filter_map(Value::as_str);
        let modes = joined(modes.collect());
        vec![
            meta(object, "name").into(),
            is("attachRequired", true),
            is("podInfoOnMount", false),
            is("storageCapacity", false),
            if requests.is_empty() { "<unset>".into() } else { audiences.into() },
            is("requiresRepublish", false),
            if modes.is_empty() { "<none>".into() } else { modes.into() },
            age(object),
        ]
    },
};

pub(super) const NODE: Columns = Columns {
    columns: &[shown("Name"), count("Drivers"), shown("Age")],
    reads: Keep::All,
    cells: |object| {
        let n_drivers = list(object, "/spec/drivers").len();
        vec![meta(object, "name").into(), n_drivers.into(), age(object)]
    },
};

pub(super) const ATTACHMENT: Columns = Columns {
    columns: &[
        shown("Name"),
        shown("Attacher"),
        shown("PV"),
        shown("Node"),
        flag("Attached"),
        shown("Age"),
    ],
    reads: Keep::All,
    cells: |object| {
        vec![
            meta(object, "name").into(),
            text(object, "/spec/attacher").into(),
            text(object, "/spec/source/persistentVolumeName").into(),
            text(object, "/spec/nodeName").into(),
            (object["status"]["attached"] == true).into(),
            age(object),
        ]
    },
};
