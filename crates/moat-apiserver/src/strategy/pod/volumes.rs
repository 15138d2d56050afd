//! Rules of volumes, and of how containers mount them.

use super::env;
use super::spec::Stands;
use crate::names::Rule;
use crate::object::{list, text};
use crate::status::Cause;
use crate::strategy::check;
use serde_json::Value;
use std::collections::BTreeMap;

const TYPES: [&str; 8] = [
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];
/// What a file of a volume can be made of.
const FIELDS: [&str; 5] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];
const PROPAGATIONS: [&str; 3] = ["Bidirectional", "HostToContainer", "None"];

/// The volumes of a pod that are as they should be, by name.
pub(super) struct Volumes<'a>(BTreeMap<&'a str, &'a Value>);

pub(super) fn volumes<'a>(
    spec: &'a Value,
    path: &str,
    stands: Stands<'_>,
    causes: &mut Vec<Cause>,
) -> Volumes<'a> {
    let all = list(spec, "/volumes");
    let made = |name: &str| match stands {
        Stands::InPod(pod) if !pod.is_empty() => all.iter().any(|volume| {
            volume["ephemeral"].is_object() && format!("{pod}-{}", text(volume, "/name")) == name
        }),
        _ => false,
    };
    let mut good = BTreeMap::new();
    for (n, volume) in all.iter().enumerate() {
        let path = format!("{path}[{n}]");
        let (name, before) = (text(volume, "/name"), causes.len());
        source(volume, &path, causes);
        if check::required(volume, "name", &path, causes) {
            check::name(Rule::Label, name, &format!("{path}.name"), causes);
        }
        if good.contains_key(name) {
            causes.push(Cause::duplicate(format!("{path}.name"), &name.into()));
        }
        if before == causes.len() {
            good.insert(name, volume);
        }
        let claim = text(volume, "/persistentVolumeClaim/claimName");
        if made(claim) {
            let path = format!("{path}.persistentVolumeClaim.claimName");
            let why = "must not reference a PVC that gets created for an ephemeral volume";
            causes.push(Cause::invalid(path, &claim.into(), why));
        }
    }
    Volumes(good)
}

fn source(volume: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut count = 0;
    let fields = volume.as_object().into_iter().flatten();
    for (kind, own) in fields.filter(|(kind, own)| *kind != "name" && own.is_object()) {
        let path = format!("{path}.{kind}");
        count += 1;
        if 1 < count {
            causes.push(Cause::forbidden(path, "may not specify more than 1 volume type"));
            continue;
        }
        match kind.as_str() {
            "hostPath" => host_path(own, &path, causes),
            "secret" => {
                check::required(own, "secretName", &path, causes);
                files(own, &path, causes);
            }
            "configMap" => {
                check::required(own, "name", &path, causes);
                files(own, &path, causes);
            }
            "nfs" => {
                check::required(own, "server", &path, causes);
                check::required(own, "path", &path, causes);
                let target = text(own, "/path");
                if !target.starts_with('/') {
                    let why = "must be an absolute path";
                    causes.push(Cause::invalid(format!("{path}.path"), &target.into(), why));
                }
            }
            "persistentVolumeClaim" => {
                check::required(own, "claimName", &path, causes);
            }
            "downwardAPI" => downward(own, &path, causes),
            "projected" => projected(own, &path, causes),
            "csi" => driver(own, &path, causes),
            "ephemeral" => claim(own, &path, causes),
            _ => {}
        }
    }
    if count == 0 {
        causes.push(Cause::required(path, "must specify a volume type"));
    }
}

fn host_path(own: &Value, path: &str, causes: &mut Vec<Cause>) {
    if check::required(own, "path", path, causes) {
        check::no_backsteps(text(own, "/path"), &format!("{path}.path"), causes);
        check::maybe_one_of(&own["type"], &format!("{path}.type"), &TYPES, causes);
    }
}

fn driver(own: &Value, path: &str, causes: &mut Vec<Cause>) {
    if check::required(own, "driver", path, causes) {
        let driver = text(own, "/driver").to_lowercase();
        check::name(Rule::Subdomain, &driver, &format!("{path}.driver"), causes);
    }
}

fn claim(own: &Value, path: &str, causes: &mut Vec<Cause>) {
    if check::required(own, "volumeClaimTemplate", path, causes) {
        let spec = &own["volumeClaimTemplate"]["spec"];
        let path = format!("{path}.volumeClaimTemplate.spec");
        crate::strategy::storage::claim_spec(spec, &path, causes);
    }
}

fn files(own: &Value, path: &str, causes: &mut Vec<Cause>) {
    check::mode(own, "defaultMode", path, causes);
    for (n, item) in list(own, "/items").iter().enumerate() {
        let path = format!("{path}.items[{n}]");
        check::required(item, "key", &path, causes);
        check::required(item, "path", &path, causes);
        check::file_below(text(item, "/path"), &format!("{path}.path"), causes);
        check::mode(item, "mode", &path, causes);
    }
}

fn downward(own: &Value, path: &str, causes: &mut Vec<Cause>) {
    check::mode(own, "defaultMode", path, causes);
    for file in list(own, "/items") {
        check::required(file, "path", path, causes);
        check::file_below(text(file, "/path"), &format!("{path}.path"), causes);
        if file["fieldRef"].is_object() {
            env::field(&file["fieldRef"], &FIELDS, &format!("{path}.fieldRef"), causes);
            if file["resourceFieldRef"].is_object() {
                let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
                causes.push(Cause::invalid(path, &"resource".into(), why));
            }
        } else if file["resourceFieldRef"].is_object() {
            let path = format!("{path}.resourceFieldRef");
            env::resource(&file["resourceFieldRef"], true, &path, causes);
        } else {
            let why = "one of fieldRef and resourceFieldRef is required";
            causes.push(Cause::required(path, why));
        }
        check::mode(file, "mode", path, causes);
    }
}

fn projected(own: &Value, path: &str, causes: &mut Vec<Cause>) {
    check::mode(own, "defaultMode", path, causes);
    for (n, source) in list(own, "/sources").iter().enumerate() {
        let path = format!("{path}.sources[{n}]");
        for kind in ["secret", "configMap"] {
            if source[kind].is_object() {
                let path = format!("{path}.{kind}");
                check::required(&source[kind], "name", &path, causes);
                files(&source[kind], &path, causes);
            }
        }
        if source["downwardAPI"].is_object() {
            downward(&source["downwardAPI"], &format!("{path}.downwardAPI"), causes);
        }
        let token = &source["serviceAccountToken"];
        if token.is_object() {
            let path = format!("{path}.serviceAccountToken");
            if token["expirationSeconds"].as_i64().is_some_and(|seconds| seconds < 600) {
                let why = "may not specify a duration less than 10 minutes";
                let field = format!("{path}.expirationSeconds");
                causes.push(Cause::invalid(field, &token["expirationSeconds"], why));
            }
            if check::required(token, "path", &path, causes) {
                check::file_below(text(token, "/path"), &format!("{path}.path"), causes);
            }
        }
        let count =
            source.as_object().map_or(0, |map| map.values().filter(|own| own.is_object()).count());
        if 1 < count {
            let why = "may not specify more than 1 volume type per source";
            causes.push(Cause::forbidden(path, why));
        }
    }
}

impl Volumes<'_> {
    pub(super) fn mounts(&self, container: &Value, path: &str, causes: &mut Vec<Cause>) {
        let mut places: Vec<&str> = Vec::new();
        for (n, mount) in list(container, "/volumeMounts").iter().enumerate() {
            let own = format!("{path}[{n}]");
            let (name, place) = (text(mount, "/name"), text(mount, "/mountPath"));
            check::required(mount, "name", &own, causes);
            if !self.0.contains_key(name) {
                causes.push(Cause::not_found(format!("{own}.name"), &name.into()));
            }
            check::required(mount, "mountPath", &own, causes);
            if places.contains(&place) {
                let why = "must be unique";
                causes.push(Cause::invalid(format!("{own}.mountPath"), &place.into(), why));
            }
            places.push(place);
            let devices = list(container, "/volumeDevices");
            if devices.iter().any(|device| text(device, "/name") == name) {
                let why = "must not already exist in volumeDevices";
                causes.push(Cause::invalid(format!("{own}.name"), &name.into(), why));
            }
            check::descending(text(mount, "/subPath"), &format!("{path}.subPath"), causes);
            let expression = text(mount, "/subPathExpr");
            if !expression.is_empty() && !text(mount, "/subPath").is_empty() {
                let why = "subPathExpr and subPath are mutually exclusive";
                causes.push(Cause::invalid(format!("{own}.subPathExpr"), &expression.into(), why));
            }
            check::descending(expression, &format!("{path}.subPathExpr"), causes);
            let (propagation, field) =
                (&mount["mountPropagation"], format!("{path}.mountPropagation"));
            check::maybe_one_of(propagation, &field, &PROPAGATIONS, causes);
            if propagation == "Bidirectional" && container["securityContext"]["privileged"] != true
            {
                let why =
                    "Bidirectional mount propagation is available only to privileged containers";
                causes.push(Cause::forbidden(field, why));
            }
        }
    }

    pub(super) fn devices(&self, container: &Value, path: &str, causes: &mut Vec<Cause>) {
        let mut names: Vec<&str> = Vec::new();
        for (n, device) in list(container, "/volumeDevices").iter().enumerate() {
            let own = format!("{path}[{n}]");
            let (name, place) = (text(device, "/name"), text(device, "/devicePath"));
            check::required(device, "name", &own, causes);
            if names.contains(&name) {
                causes.push(Cause::invalid(format!("{own}.name"), &name.into(), "must be unique"));
            }
            names.push(name);
            match self.0.get(name) {
                None => causes.push(Cause::not_found(format!("{own}.name"), &name.into())),
                Some(volume)
                    if !volume["persistentVolumeClaim"].is_object()
                        && !volume["ephemeral"].is_object() =>
                {
                    let why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                    causes.push(Cause::invalid(format!("{own}.name"), &name.into(), why));
                }
                Some(_) => {}
            }
            check::required(device, "devicePath", &own, causes);
            if place.split('/').any(|part| part == "..") {
                let why = "can not contain backsteps ('..')";
                causes.push(Cause::invalid(format!("{own}.devicePath"), &place.into(), why));
            }
        }
    }
}
