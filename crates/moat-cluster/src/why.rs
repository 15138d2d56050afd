//! Why a pod is, or is not, on which node: the scheduler's own filters and scores, node by node, over the objects as they are now.

use moat_apiserver::{At, Client, Gvr, Selection, Status};
use moat_scheduler::{Config, Pod, Snapshot, explain as explain_pod};
use serde_json::{Value, json};

static PODS: Gvr = Gvr::new("", "v1", "pods");

/// The report, as data and as text.
///
/// Errors: there is no such pod, or no profile schedules it.
pub(crate) async fn explain(
    client: &Client,
    config: &Config,
    namespace: &str,
    name: &str,
) -> Result<Value, String> {
    let told = |status: Status| status.message;
    let at: At<'_> = PODS.at(namespace, name);
    let object = client.get(at).await.map_err(told)?;
    let mut snapshot = Snapshot::default();
    for kind in client.kinds() {
        if !moat_scheduler::KINDS.contains(&kind.kind.as_str()) {
            continue;
        }
        let listed = client.list(kind.gvr.at("", ""), &Selection::default()).map_err(told)?;
        for one in listed.objects {
            if let Ok(value) = serde_json::from_slice::<Value>(&one.value) {
                snapshot.set(&value);
            }
        }
    }
    let pod = Pod::read(&object);
    let wanted = object["spec"]["schedulerName"].as_str().unwrap_or("default-scheduler");
    let profile = config.profiles.iter().find(|profile| profile.scheduler_name == wanted);
    let profile = profile.ok_or_else(|| {
        format!("the pod asks for the scheduler {wanted:?}, and no profile has that name: nobody schedules it")
    })?;
    let report = explain_pod(&snapshot, &pod, profile);
    let data = serde_json::to_value(&report).map_err(|error| error.to_string())?;
    Ok(json!({ "text": report.to_string(), "report": data }))
}
