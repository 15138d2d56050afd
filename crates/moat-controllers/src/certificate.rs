//! Requests for certificates: those of nodes that join are approved, those that are approved are signed, and those that nobody needs any more go.
//!
//! certificates.k8s.io/v1, signers `kubernetes.io/kube-apiserver-client`, `-client-kubelet` and `kubelet-serving`; other signers are others' business.

use crate::context::{CERTIFICATE_REQUESTS, Context, reach, work};
use crate::json::{condition, list, number, revision, seconds, set, text, time};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moat_apiserver::{DeleteOptions, Gvr, Requested, Signer, Status, request_pem};
use moat_informer::{Done, Item, Queue};
use moat_store::Path;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

static REVIEWS: Gvr = Gvr::new("authorization.k8s.io", "v1", "subjectaccessreviews");
/// How long a certificate holds unless the request wants less (`--cluster-signing-duration`).
const SECONDS: i64 = 365 * 24 * 3600;
const SECONDS_MIN: i64 = 600;
/// How long requests are kept: those that nobody decided about, and the others.
const UNDECIDED_SECONDS: i64 = 24 * 3600;
const DECIDED_SECONDS: i64 = 3600;
const NODES: &str = "system:nodes";
const NODE: &str = "system:node:";

/// What a signer signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Client,
    Node,
    NodeServing,
}

impl Purpose {
    fn of(signer: &str) -> Option<Self> {
        match signer.strip_prefix("kubernetes.io/")? {
            "kube-apiserver-client" => Some(Self::Client),
            "kube-apiserver-client-kubelet" => Some(Self::Node),
            "kubelet-serving" => Some(Self::NodeServing),
            _ => None,
        }
    }

    /// Why a request is not for this signer.
    fn check(self, asked: &Requested, usages: &[&str]) -> Result<(), String> {
        let only = |needed: &str| {
            let known =
                |usage: &&str| [needed, "digital signature", "key encipherment"].contains(usage);
            usages.contains(&needed) && usages.iter().all(known)
        };
        if self == Self::Client {
            return if only("client auth") {
                Ok(())
            } else {
                Err("usages have to be client auth, with digital signature and key encipherment at most".to_owned())
            };
        }
        let refuse = |why: &str| Err(why.to_owned());
        if asked.organizations != [NODES] {
            return refuse("subject organization is not system:nodes");
        }
        if !asked.common_name.starts_with(NODE) {
            return refuse("subject common name does not begin with system:node:");
        }
        if asked.has_mail {
            return refuse("Email subjectAltNames are not allowed");
        }
        if asked.has_uris {
            return refuse("URI subjectAltNames are not allowed");
        }
        let needed = if self == Self::Node { "client auth" } else { "server auth" };
        if !only(needed) || !usages.contains(&"digital signature") {
            return Err(format!(
                "usages did not match [{needed} digital signature key encipherment]"
            ));
        }
        match self {
            Self::Node if !asked.dns.is_empty() => refuse("DNS subjectAltNames are not allowed"),
            Self::Node if 0 < asked.n_addresses => refuse("IP subjectAltNames are not allowed"),
            Self::NodeServing if asked.dns.is_empty() && asked.n_addresses == 0 => {
                refuse("DNS or IP subjectAltName is required")
            }
            _ => Ok(()),
        }
    }
}

/// What is to be done about a request.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Nothing,
    /// Somebody has to be asked whether the requester may have it without a human's approval.
    Ask {
        subresource: &'static str,
        message: &'static str,
    },
    Sign,
    /// It cannot be signed, and this is why.
    Fail(String),
    Remove,
}

/// The plan for a request, and the seconds after which it is another.
fn plan(request: &Value, now: i64) -> (Plan, Option<i64>) {
    let status = &request["status"];
    let has = |kind: &str| condition(status, kind).is_some_and(|one| one["status"] == "True");
    let decided = ["Denied", "Failed", "Approved"].into_iter().find(|kind| has(kind));
    let since = |kind: &str| {
        let one = condition(status, kind);
        one.and_then(|one| seconds(text(one, "/lastUpdateTime"))).unwrap_or(now)
    };
    let end = match decided {
        None => {
            seconds(text(request, "/metadata/creationTimestamp")).unwrap_or(now) + UNDECIDED_SECONDS
        }
        Some(kind) => since(kind) + DECIDED_SECONDS,
    };
    if end <= now {
        return (Plan::Remove, None);
    }
    let again = Some(end - now);
    let is_signed = !text(status, "/certificate").is_empty();
    let Some(purpose) = Purpose::of(text(request, "/spec/signerName")) else {
        return (Plan::Nothing, again);
    };
    if is_signed || matches!(decided, Some("Denied" | "Failed")) {
        return (Plan::Nothing, again);
    }
    let usages: Vec<&str> =
        list(request, "/spec/usages").iter().filter_map(Value::as_str).collect();
    let read = request_pem(request).ok_or_else(|| "the request cannot be read".to_owned());
    let checked = read.and_then(|pem| {
        let asked = Requested::read(&pem)?;
        purpose.check(&asked, &usages)?;
        Ok(asked)
    });
    let plan = match (decided, checked) {
        (Some(_), Ok(_)) => Plan::Sign,
        (Some(_), Err(why)) => Plan::Fail(why),
        (None, Ok(asked)) if purpose == Purpose::Node => {
            if asked.common_name == text(request, "/spec/username") {
                let message =
                    "Auto approving self kubelet client certificate after SubjectAccessReview.";
                Plan::Ask { subresource: "selfnodeclient", message }
            } else {
                let message =
                    "Auto approving kubelet client certificate after SubjectAccessReview.";
                Plan::Ask { subresource: "nodeclient", message }
            }
        }
        (None, _) => Plan::Nothing,
    };
    (plan, again)
}

pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    let queue: Queue<Path> = context.queue("certificate");
    let into = queue.clone();
    context.certificate_requests.on_change(move |delta| {
        if let Some(request) = &delta.new {
            into.add(request.path.clone());
        }
    });
    work(context, tasks, &queue, |context, path| async move { sync(&context, &path).await });
}

async fn sync(context: &Context, path: &Path) -> Result<Done, Status> {
    let Some(item) = context.certificate_requests.get("", path.name()) else { return Ok(Done::Ok) };
    let now = jiff::Timestamp::now().as_second();
    let (plan, again) = plan(&item.value, now);
    match plan {
        Plan::Nothing => {}
        Plan::Ask { subresource, message } => {
            if may(context, &item.value, subresource).await? {
                let condition = ("Approved", "AutoApproved", message);
                say(context, &item, "approval", condition, now).await?;
            }
        }
        Plan::Sign => {
            let Some(signer) = &context.options.signer else { return Ok(Done::Ok) };
            match sign(signer, &item.value) {
                Ok(certificate) => certify(context, &item, &certificate).await?,
                Err(why) => fail(context, &item, &why, now).await?,
            }
        }
        Plan::Fail(why) => fail(context, &item, &why, now).await?,
        Plan::Remove => {
            let options =
                DeleteOptions { uid: Some(item.meta.uid.to_string()), ..DeleteOptions::default() };
            context.cluster.delete(CERTIFICATE_REQUESTS.at("", path.name()), &options).await?;
        }
    }
    Ok(match again {
        Some(seconds) => Done::After(Duration::from_secs(seconds.unsigned_abs())),
        None => Done::Ok,
    })
}

/// Whether the one who asks may have such a certificate without being asked about.
async fn may(context: &Context, request: &Value, subresource: &str) -> Result<bool, Status> {
    let spec = &request["spec"];
    let review = json!({ "spec": {
        "user": spec["username"], "uid": spec["uid"], "groups": spec["groups"], "extra": spec["extra"],
        "resourceAttributes": { "group": "certificates.k8s.io", "resource": "certificatesigningrequests", "verb": "create", "subresource": subresource },
    } });
    let answer = context.cluster.create(REVIEWS.at("", ""), review).await?;
    Ok(answer["status"]["allowed"] == true)
}

fn sign(signer: &Signer, request: &Value) -> Result<String, String> {
    let pem = request_pem(request).ok_or_else(|| "the request cannot be read".to_owned())?;
    let usages: Vec<&str> =
        list(request, "/spec/usages").iter().filter_map(Value::as_str).collect();
    let wanted = number(request, "/spec/expirationSeconds").unwrap_or(SECONDS);
    signer.sign(&pem, &usages, wanted.clamp(SECONDS_MIN, SECONDS))
}

async fn certify(context: &Context, item: &Item<Value>, certificate: &str) -> Result<(), Status> {
    let mut changed = item.value.clone();
    set(&mut changed, &["status", "certificate"], STANDARD.encode(certificate).into());
    write(context, item, "status", changed).await
}

async fn fail(context: &Context, item: &Item<Value>, why: &str, now: i64) -> Result<(), Status> {
    say(context, item, "status", ("Failed", "SignerValidationFailure", why), now).await
}

async fn say(
    context: &Context,
    item: &Item<Value>,
    part: &'static str,
    (kind, reason, message): (&str, &str, &str),
    now: i64,
) -> Result<(), Status> {
    let mut changed = item.value.clone();
    let mut conditions = list(&changed, "/status/conditions").to_vec();
    conditions.push(json!({
        "type": kind, "status": "True", "reason": reason, "message": message, "lastUpdateTime": time(now), "lastTransitionTime": time(now),
    }));
    set(&mut changed, &["status", "conditions"], conditions.into());
    write(context, item, part, changed).await
}

async fn write(
    context: &Context,
    item: &Item<Value>,
    part: &'static str,
    changed: Value,
) -> Result<(), Status> {
    let at = CERTIFICATE_REQUESTS.at("", &item.meta.name).part(part);
    let written = context.cluster.update(at, changed).await?;
    reach(&context.certificate_requests, revision(&written)).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(groups: &[&str], name: &str) -> Requested {
        Requested {
            common_name: name.to_owned(),
            organizations: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..Requested::default()
        }
    }

    #[test]
    fn each_signer_signs_what_it_is_for() {
        let node = asked(&["system:nodes"], "system:node:n");
        let ok = |purpose: Purpose, asked: &Requested, usages: &[&str]| {
            purpose.check(asked, usages).is_ok()
        };
        let client = ["client auth", "digital signature"];
        assert!(ok(Purpose::Node, &node, &client));
        assert!(!ok(Purpose::Node, &node, &["client auth"]));
        assert!(!ok(Purpose::Node, &node, &["client auth", "digital signature", "server auth"]));
        assert!(!ok(Purpose::Node, &asked(&["system:nodes", "other"], "system:node:n"), &client));
        assert!(!ok(Purpose::Node, &asked(&["system:nodes"], "jane"), &client));
        let host = Requested { dns: vec!["n".to_owned()], ..node.clone() };
        assert!(!ok(Purpose::Node, &host, &client));
        let server = ["server auth", "digital signature", "key encipherment"];
        assert!(ok(Purpose::NodeServing, &host, &server));
        assert!(!ok(Purpose::NodeServing, &node, &server));
        assert!(ok(Purpose::Client, &asked(&["dev"], "jane"), &["client auth"]));
        assert!(!ok(Purpose::Client, &asked(&["dev"], "jane"), &["server auth", "client auth"]));
    }

    #[test]
    fn requests_go_when_nobody_needs_them() {
        let now = 1_800_000_000;
        let request = |kind: Option<&str>, age: i64| {
            let conditions: Vec<Value> = kind
                .iter()
                .map(|kind| json!({ "type": kind, "status": "True", "lastUpdateTime": time(now - age) }))
                .collect();
            json!({
                "metadata": { "creationTimestamp": time(now - age) }, "spec": { "signerName": "example.com/own" },
                "status": { "conditions": conditions },
            })
        };
        assert_eq!(plan(&request(None, 3600), now), (Plan::Nothing, Some(23 * 3600)));
        assert_eq!(plan(&request(None, 24 * 3600), now), (Plan::Remove, None));
        assert_eq!(plan(&request(Some("Denied"), 3599), now), (Plan::Nothing, Some(1)));
        for kind in ["Denied", "Failed", "Approved"] {
            assert_eq!(plan(&request(Some(kind), 3600), now), (Plan::Remove, None));
        }
    }
}
