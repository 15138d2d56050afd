//! Volumes of claims that name no class: directories on this machine, below the cluster's data.
//!
//! They are what users wrote, so a cluster that comes back finds them, also after `kill -9`; with their claims they go, as their class says, and
//! with all else when the cluster is reset, as nobody could find them again.

use moat_apiserver::{Client, Gvr};
use serde_json::json;
use std::io;
use std::path::{Path, PathBuf};

static CLASSES: Gvr = Gvr::new("storage.k8s.io", "v1", "storageclasses");

/// Where the volumes of a cluster are.
pub(crate) fn directory(data: &Path) -> io::Result<PathBuf> {
    std::path::absolute(data.join("volumes"))
}

/// Sees to it that the class is there. One that is there already is left as it is: it may be somebody's choice.
///
/// Every node of a cluster is on this machine, so a claim needs to wait for nobody.
///
/// Errors: the server refuses it.
pub(crate) async fn class(client: &Client) -> Result<(), String> {
    let class = json!({
        "metadata": {
            "name": "moat",
            "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
        },
        "provisioner": moat_controllers::PROVISIONER,
        "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate",
    });
    match client.create(CLASSES.at("", ""), class).await {
        Err(status) if status.reason != "AlreadyExists" => Err(status.message),
        _ => Ok(()),
    }
}

/// Removes the volumes that were made. What else is in the directory is not the cluster's, and stays.
pub(crate) fn wipe(data: &Path) -> io::Result<()> {
    let dir = data.join("volumes");
    let entries = match std::fs::read_dir(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let is_ours = entry.file_name().to_str().is_some_and(is_volume);
        if is_ours && entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    match std::fs::remove_dir(&dir) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        done => done,
    }
}

/// `pvc-` and the uid of the claim.
fn is_volume(name: &str) -> bool {
    let uid = name.strip_prefix("pvc-").unwrap_or_default();
    let places = uid.split('-').map(str::len);
    places.eq([8, 4, 4, 4, 12]) && uid.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_volumes_that_were_made_are_wiped() {
        let data = std::env::temp_dir().join(format!("moat-wipe-{}", std::process::id()));
        let volume = "pvc-0d1f3a52-9f58-4c0a-9c5e-0123456789ab";
        for name in [volume, "pvc-mine", "others"] {
            std::fs::create_dir_all(data.join("volumes").join(name)).unwrap();
        }
        std::fs::write(data.join("volumes").join(volume).join("data"), "x").unwrap();
        wipe(&data).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(data.join("volumes"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["others", "pvc-mine"]);
        std::fs::remove_dir_all(&data).unwrap();
        wipe(&data).unwrap();
    }
}
