//! Rules of the rights with which containers run.

use crate::object::{list, text};
use crate::status::Cause;
use crate::strategy::check;
use serde_json::Value;

const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];
const IDS: (i64, i64) = (0, i32::MAX as i64);

pub(super) fn of_pod(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let own = &spec["securityContext"];
    ids(own, &["fsGroup", "runAsUser", "runAsGroup"], path, causes);
    for (n, group) in list(own, "/supplementalGroups").iter().enumerate() {
        let path = format!("{path}.supplementalGroups[{n}]");
        check::between(group.as_i64(), &path, IDS, causes);
    }
    if spec["hostPID"] == true && spec["shareProcessNamespace"] == true {
        let why = "ShareProcessNamespace and HostPID cannot both be enabled";
        causes.push(Cause::invalid(format!("{path}.shareProcessNamespace"), &true.into(), why));
    }
    let policies = ["Always", "OnRootMismatch"];
    let field = format!("{path}.fsGroupChangePolicy");
    check::maybe_one_of(&own["fsGroupChangePolicy"], &field, &policies, causes);
    profiles(own, path, causes);
    let field = format!("{path}.supplementalGroupsPolicy");
    check::maybe_one_of(&own["supplementalGroupsPolicy"], &field, &["Merge", "Strict"], causes);
}

pub(super) fn of_container(container: &Value, spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let own = &container["securityContext"];
    if !own.is_object() {
        return;
    }
    ids(own, &["runAsUser", "runAsGroup"], path, causes);
    let mount = &own["procMount"];
    let field = format!("{path}.procMount");
    check::maybe_one_of(mount, &field, &["Default", "Unmasked"], causes);
    if mount == "Unmasked" && spec["hostUsers"] != false {
        let why = "`hostUsers` must be false to use `Unmasked`";
        causes.push(Cause::invalid(field, mount, why));
    }
    if own["allowPrivilegeEscalation"] == false {
        if own["privileged"] == true {
            let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            causes.push(Cause::invalid(path, &as_go(own), why));
        }
        if list(own, "/capabilities/add").iter().any(|one| one == "CAP_SYS_ADMIN") {
            let why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            causes.push(Cause::invalid(path, &as_go(own), why));
        }
    }
    profiles(own, path, causes);
}

/// The context as upstream shows it: a structure of Go's, with all its fields.
fn as_go(own: &Value) -> Value {
    let fields = [
        "capabilities",
        "privileged",
        "seLinuxOptions",
        "windowsOptions",
        "runAsUser",
        "runAsGroup",
        "runAsNonRoot",
        "readOnlyRootFilesystem",
        "allowPrivilegeEscalation",
        "procMount",
        "seccompProfile",
        "appArmorProfile",
    ];
    let mut shown = serde_json::Map::new();
    for field in fields {
        let mut name = field.to_owned();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        shown.insert(name.replace("SeLinux", "SELinux"), own[field].clone());
    }
    Value::Object(shown)
}

fn ids(own: &Value, fields: &[&str], path: &str, causes: &mut Vec<Cause>) {
    for field in fields {
        check::between(own[field].as_i64(), &format!("{path}.{field}"), IDS, causes);
    }
}

fn profiles(own: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (field, name) in [("seccompProfile", "seccomp"), ("appArmorProfile", "AppArmor")] {
        let (profile, path) = (&own[field], format!("{path}.{field}"));
        if !profile.is_object() {
            continue;
        }
        check::one_of(&profile["type"], &format!("{path}.type"), &PROFILES, causes);
        let local = profile["localhostProfile"].is_string();
        let field = format!("{path}.localhostProfile");
        match (text(profile, "/type") == "Localhost", local) {
            (true, false) => {
                let why = format!("must be set when {name} type is Localhost");
                causes.push(Cause::required(field, &why));
            }
            (false, true) => {
                let why = format!("can only be set when {name} type is Localhost");
                causes.push(Cause::invalid(field, &profile["localhostProfile"], &why));
            }
            (true, true) if name == "seccomp" => {
                check::descending(text(profile, "/localhostProfile"), &field, causes);
            }
            _ => {}
        }
    }
}
