//! Content negotiation: in which form an answer is wanted, and in which a body came.
//!
//! Bodies are JSON or protobuf, answers JSON.

use crate::status::Status;

/// What an answer's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The object itself.
    Object,
    /// Rows and columns, for people.
    Table,
    /// The metadata of an object, or of each in a list.
    Partial,
    /// Aggregated discovery.
    Discovery,
}

/// Types that this server reads; the last one only where a kind has that form.
const READS: &[&str] = &["application/json", "application/vnd.kubernetes.protobuf"];
/// Types of patches that this server reads.
pub(crate) const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// The form that `Accept` wants, by the first of its types that is spoken; `forms` are those that the path has.
pub(crate) fn form(accept: &str, forms: &[Form]) -> Result<Form, Status> {
    if accept.trim().is_empty() {
        return Ok(Form::Object);
    }
    for wanted in accept.split(',') {
        let mut parts = wanted.split(';').map(str::trim);
        if !matches!(parts.next(), Some("application/json" | "application/*" | "*/*")) {
            continue;
        }
        let (mut group, mut version, mut kind) = ("", "", "");
        for part in parts {
            match part.split_once('=') {
                Some(("g", value)) => group = value,
                Some(("v", value)) => version = value,
                Some(("as", value)) => kind = value,
                _ => {}
            }
        }
        let form = match (group, version, kind) {
            (_, _, "") => Form::Object,
            ("meta.k8s.io", "v1", "Table") => Form::Table,
            ("meta.k8s.io", "v1", "PartialObjectMetadata" | "PartialObjectMetadataList") => {
                Form::Partial
            }
            ("apidiscovery.k8s.io", "v2", "APIGroupDiscoveryList") => Form::Discovery,
            _ => continue,
        };
        if form == Form::Object || forms.contains(&form) {
            return Ok(form);
        }
    }
    Err(Status::not_acceptable(&["application/json", "application/json;stream=watch"]))
}

/// How the bytes of a body say an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Protobuf,
}

/// The encoding of a body; `protobuf` says whether its kind has that form. No type at all means JSON, as upstream has it.
pub(crate) fn body(content_type: &str, protobuf: bool) -> Result<Encoding, Status> {
    let reads = if protobuf { READS } else { &READS[..1] };
    let base = content_type.split(';').next().unwrap_or_default().trim();
    match base {
        "" | "application/json" => Ok(Encoding::Json),
        "application/vnd.kubernetes.protobuf" if protobuf => Ok(Encoding::Protobuf),
        _ => Err(Status::unsupported_media_type(reads)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECTL: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

    #[test]
    fn the_first_form_that_is_spoken_is_taken() {
        let all = &[Form::Table, Form::Partial];
        assert_eq!(form(KUBECTL, all), Ok(Form::Table));
        assert_eq!(form(KUBECTL, &[]), Ok(Form::Object));
        assert_eq!(form("", all), Ok(Form::Object));
        assert_eq!(
            form("application/vnd.kubernetes.protobuf,application/json", all),
            Ok(Form::Object)
        );
        assert_eq!(
            form("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", all),
            Ok(Form::Partial)
        );
        assert_eq!(form("application/vnd.kubernetes.protobuf", all).unwrap_err().code, 406);
        assert_eq!(
            form("application/json;as=Table;v=v9;g=meta.k8s.io", all).unwrap_err().code,
            406
        );
    }

    #[test]
    fn bodies_of_other_types_are_refused_in_upstreams_words() {
        assert_eq!(body("application/json; charset=utf-8", true), Ok(Encoding::Json));
        assert_eq!(body("", true), Ok(Encoding::Json));
        assert_eq!(body("application/vnd.kubernetes.protobuf", true), Ok(Encoding::Protobuf));
        let words = |status: Status| status.message;
        assert_eq!(
            body("text/plain", true).map_err(words),
            Err("the body of the request was in an unknown format - accepted media types include: application/json, \
                 application/vnd.kubernetes.protobuf"
                .to_owned())
        );
        assert_eq!(
            body("application/vnd.kubernetes.protobuf", false).map_err(words),
            Err("the body of the request was in an unknown format - accepted media types include: application/json"
                .to_owned())
        );
    }
}
