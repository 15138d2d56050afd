//! The text of a kubeconfig, with certificates inside, so that it is one file which works anywhere.

use crate::pki::Identity;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The name of cluster and context.
const NAME: &str = "moat";

pub(crate) fn kubeconfig(url: &str, ca: &str, user: &str, identity: &Identity) -> String {
    let [ca, certificate, key] =
        [ca, &identity.certificate_pem, &identity.key_pem].map(|text| STANDARD.encode(text));
    let user = serde_json::Value::from(user);
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: {NAME}
  cluster:
    certificate-authority-data: {ca}
    server: {url}
contexts:
- name: {NAME}
  context:
    cluster: {NAME}
    user: {user}
current-context: {NAME}
users:
- name: {user}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
"
    )
}
