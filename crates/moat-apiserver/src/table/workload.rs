//! Rows of workloads.

use super::cells::{condition, containers, labels, or, selector, whole};
use super::{Column, Columns, age, ago, count, duration, shown, wide};
use crate::object::{is_deleting, list, meta, number, text};
use crate::part::Keep;
use serde_json::Value;

const TEMPLATE: &str = "/spec/template/spec/containers";

fn ratio(object: &Value, one: &str, all: &str) -> Value {
    format!("{}/{}", number(object, one).unwrap_or(0), number(object, all).unwrap_or(0)).into()
}

pub(super) const DEPLOYMENT: Columns = Columns {
    columns: &[
        shown("Name"),
        shown("Ready"),
        shown("Up-to-date"),
        shown("Available"),
        shown("Age"),
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    reads: Keep::All,
    cells: |object| {
        let [names, images] = containers(object, TEMPLATE);
        vec![
            meta(object, "name").into(),
            ratio(object, "/status/readyReplicas", "/spec/replicas"),
            whole(object, "/status/updatedReplicas"),
            whole(object, "/status/availableReplicas"),
            age(object),
            names,
            images,
            selector(&object["spec"]["selector"]).into(),
        ]
    },
};

pub(super) const POD_TEMPLATE: Columns = Columns {
    columns: &[shown("Name"), shown("Containers"), shown("Images"), shown("Pod Labels")],
    reads: Keep::All,
    cells: |object| {
        let [names, images] = containers(object, "/template/spec/containers");
        let own = labels(&object["template"]["metadata"]["labels"]);
        vec![meta(object, "name").into(), names, images, own.into()]
    },
};

pub(super) const REPLICA_SET: Columns = Columns {
    columns: REPLICAS,
    reads: Keep::All,
    cells: |object| replicas(object, selector(&object["spec"]["selector"])),
};

pub(super) const REPLICATION_CONTROLLER: Columns = Columns {
    columns: REPLICAS,
    reads: Keep::All,
    cells: |object| replicas(object, labels(&object["spec"]["selector"])),
};

const REPLICAS: &[Column] = &[
    shown("Name"),
    count("Desired"),
    count("Current"),
    count("Ready"),
    shown("Age"),
    wide("Containers"),
    wide("Images"),
    wide("Selector"),
];

fn replicas(object: &Value, selector: String) -> Vec<Value> {
    let [names, images] = containers(object, TEMPLATE);
    vec![
        meta(object, "name").into(),
        whole(object, "/spec/replicas"),
        whole(object, "/status/replicas"),
        whole(object, "/status/readyReplicas"),
        age(object),
        names,
        images,
        selector.into(),
    ]
}

pub(super) const STATEFUL_SET: Columns = Columns {
    columns: &[shown("Name"), shown("Ready"), shown("Age"), wide("Containers"), wide("Images")],
    reads: Keep::All,
    cells: |object| {
        let [names, images] = containers(object, TEMPLATE);
        let ready = ratio(object, "/status/readyReplicas", "/spec/replicas");
        vec![meta(object, "name").into(), ready, age(object), names, images]
    },
};

pub(super) const DAEMON_SET: Columns = Columns {
    columns: &[
        shown("Name"),
        count("Desired"),
        count("Current"),
        count("Ready"),
        count("Up-to-date"),
        count("Available"),
        shown("Node Selector"),
        shown("Age"),
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    reads: Keep::All,
    cells: |object| {
        let [names, images] = containers(object, TEMPLATE);
        vec![
            meta(object, "name").into(),
            whole(object, "/status/desiredNumberScheduled"),
            whole(object, "/status/currentNumberScheduled"),
            whole(object, "/status/numberReady"),
            whole(object, "/status/updatedNumberScheduled"),
            whole(object, "/status/numberAvailable"),
            labels(&object["spec"]["template"]["spec"]["nodeSelector"]).into(),
            age(object),
            names,
            images,
            selector(&object["spec"]["selector"]).into(),
        ]
    },
};

pub(super) const JOB: Columns = Columns {
    columns: &[
        shown("Name"),
        shown("Status"),
        shown("Completions"),
        shown("Duration"),
        shown("Age"),
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    reads: Keep::All,
    cells: |object| {
        let done = number(object, "/status/succeeded").unwrap_or(0);
        let completions = match (
            number(object, "/spec/completions"),
            number(object, "/spec/parallelism").unwrap_or(0),
        ) {
            (Some(wanted), _) => format!("{done}/{wanted}"),
            (None, parallel) if 1 < parallel => format!("{done}/1 of {parallel}"),
            (None, _) => format!("{done}/1"),
        };
        let took =
            duration(text(object, "/status/startTime"), text(object, "/status/completionTime"));
        let [names, images] = containers(object, TEMPLATE);
        vec![
            meta(object, "name").into(),
            job_status(object).into(),
            completions.into(),
            took.unwrap_or_default().into(),
            age(object),
            names,
            images,
            selector(&object["spec"]["selector"]).into(),
        ]
    },
};

fn job_status(object: &Value) -> &'static str {
    let ended = [("Complete", "Complete"), ("Failed", "Failed")];
    let under_way = [
        ("Suspended", "Suspended"),
        ("FailureTarget", "FailureTarget"),
        ("SuccessCriteriaMet", "SuccessCriteriaMet"),
    ];
    let found = |all: &[(&str, &'static str)]| {
        all.iter().find(|(kind, _)| condition(object, kind)).map(|(_, word)| *word)
    };
    let terminating = || is_deleting(object).then_some("Terminating");
    found(&ended).or_else(terminating).or_else(|| found(&under_way)).unwrap_or("Running")
}

pub(super) const CRON_JOB: Columns = Columns {
    columns: &[
        shown("Name"),
        shown("Schedule"),
        shown("Timezone"),
        Column("Suspend", "boolean", false),
        count("Active"),
        shown("Last Schedule"),
        shown("Age"),
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    reads: Keep::All,
    cells: |object| {
        let [names, images] = containers(object, "/spec/jobTemplate/spec/template/spec/containers");
        let last = text(object, "/status/lastScheduleTime");
        vec![
            meta(object, "name").into(),
            text(object, "/spec/schedule").into(),
            or(object, "/spec/timeZone", "<none>"),
            if object["spec"]["suspend"] == true { "True".into() } else { "False".into() },
            list(object, "/status/active").len().into(),
            if last.is_empty() { "<none>".into() } else { ago(last).into() },
            age(object),
            names,
            images,
            selector(&object["spec"]["jobTemplate"]["spec"]["selector"]).into(),
        ]
    },
};

pub(super) const CONTROLLER_REVISION: Columns = Columns {
    columns: &[shown("Name"), shown("Controller"), shown("Revision"), shown("Age")],
    reads: Keep::All,
    cells: |object| {
        let owner = list(object, "/metadata/ownerReferences")
            .iter()
            .find(|owner| owner["controller"] == true);
        let controller = owner.map_or("<none>".to_owned(), |owner| {
            let (version, kind) = (text(owner, "/apiVersion"), text(owner, "/kind").to_lowercase());
            let group = version.split_once('/').map_or("", |(group, _)| group);
            let what = if group.is_empty() { kind } else { format!("{kind}.{group}") };
            format!("{what}/{}", text(owner, "/name"))
        });
        vec![
            meta(object, "name").into(),
            controller.into(),
            whole(object, "/revision"),
            age(object),
        ]
    },
};
