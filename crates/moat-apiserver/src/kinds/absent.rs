//! Kinds that Kubernetes has and this server has not. They are in no discovery document, so clients learn it from there; who asks all the same
//! is told why, because a bare 404 would be taken for a wrong address.

use crate::status::Status;

/// The refusal of a path that no kind has.
pub(crate) fn absent(group: &str, resource: &str) -> Status {
    let mut status = Status::no_such_path();
    let why = match (group, resource) {
        (
            "admissionregistration.k8s.io",
            "validatingwebhookconfigurations" | "mutatingwebhookconfigurations",
        ) => "no admission webhook is ever called here (a ValidatingAdmissionPolicy is evaluated)",
        (
            "admissionregistration.k8s.io",
            "mutatingadmissionpolicies" | "mutatingadmissionpolicybindings",
        ) => "objects are changed by no policy here (a ValidatingAdmissionPolicy is evaluated)",
        ("resource.k8s.io", _) => "devices are not allocated here",
        ("networking.k8s.io", "ipaddresses" | "servicecidrs") => {
            "the addresses of Services are one range here, which is chosen when the cluster starts"
        }
        ("metrics.k8s.io" | "custom.metrics.k8s.io" | "external.metrics.k8s.io", _) => {
            "nothing is measured here"
        }
        _ => return status,
    };
    status.message = format!("{resource}.{group} is not supported by this server: {why}");
    status
}

#[cfg(test)]
mod tests {
    use super::absent;

    #[test]
    fn who_asks_for_what_is_not_there_is_told_why() {
        let told = absent("admissionregistration.k8s.io", "validatingwebhookconfigurations");
        assert_eq!((told.code, told.reason), (404, "NotFound"));
        assert_eq!(
            told.message,
            "validatingwebhookconfigurations.admissionregistration.k8s.io is not supported by this server: no admission webhook is ever called \
             here (a ValidatingAdmissionPolicy is evaluated)"
        );
        assert_eq!(
            absent("apps", "nope").message,
            "the server could not find the requested resource"
        );
    }
}
