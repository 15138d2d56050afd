//! Roles and bindings are written only by who holds what they give.

use super::Request;
use crate::rbac::{Write, may_bind, may_define};
use crate::status::Status;
use serde_json::Value;

pub(super) fn escalation(
    request: Request<'_>,
    old: Option<&Value>,
    new: &Value,
) -> Result<(), Status> {
    if request.kind.group != "rbac.authorization.k8s.io" {
        return Ok(());
    }
    let write = Write {
        authorizer: request.authorizer,
        user: request.user,
        kind: request.kind,
        namespace: request.namespace,
        name: request.name,
    };
    match request.kind.kind.as_str() {
        "Role" | "ClusterRole" => may_define(write, old, new),
        "RoleBinding" | "ClusterRoleBinding" => may_bind(write, old, new),
        _ => Ok(()),
    }
}
