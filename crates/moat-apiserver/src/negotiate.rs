//! Content negotiation: in which form an answer is wanted, and in which a body came.

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

/// How bytes say an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Yaml,
    Protobuf,
}

const ENCODINGS: [Encoding; 3] = [Encoding::Json, Encoding::Yaml, Encoding::Protobuf];

impl Encoding {
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }
}

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) form: Form,
    pub(crate) encoding: Encoding,
}

/// What a path can answer with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer<'a> {
    /// Forms besides the object itself.
    pub(crate) forms: &'a [Form],
    /// Whether the object itself has a form in protobuf.
    pub(crate) protobuf: bool,
    /// Whether it is a stream of events: YAML has none.
    pub(crate) watch: bool,
}

/// Types of patches that this server reads.
pub(crate) const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];
/// The same for kinds that have no types: lists cannot be merged there.
pub(crate) const PATCHES_UNTYPED: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
];

/// One part of `Accept`.
struct Clause<'a> {
    media: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl Clause<'_> {
    /// What is exact comes before what is any type of a kind, and that before what is any type at all.
    fn rank(&self) -> u8 {
        u8::from(self.media == "*/*") * 2 + u8::from(self.media.ends_with("/*"))
    }

    fn takes(&self, encoding: Encoding) -> bool {
        matches!(self.media, "*/*" | "application/*") || self.media == encoding.media_type()
    }

    /// The form that is meant, if it is one.
    fn form(&self) -> Option<Form> {
        let (mut group, mut version, mut kind) = ("", "", "");
        for (key, value) in &self.parameters {
            match *key {
                "g" => group = value,
                "v" => version = value,
                "as" => kind = value,
                "stream" if !matches!(*value, "" | "watch") => return None,
                "sv" if !value.is_empty() => return None,
                _ => {}
            }
        }
        match (group, version, kind) {
            ("", "", "") => Some(Form::Object),
            ("meta.k8s.io", "v1", "Table") => Some(Form::Table),
            ("meta.k8s.io", "v1", "PartialObjectMetadata" | "PartialObjectMetadataList") => {
                Some(Form::Partial)
            }
            ("apidiscovery.k8s.io", "v2", "APIGroupDiscoveryList") => Some(Form::Discovery),
            _ => None,
        }
    }
}

fn clauses(accept: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = accept
        .split(',')
        .map(|one| {
            let mut parts = one.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
            let quality = parameters.iter().find(|(key, _)| *key == "q");
            let quality = quality.and_then(|(_, value)| value.parse().ok()).unwrap_or(1.0);
            Clause { media, parameters, quality }
        })
        .filter(|clause| 0.0 < clause.quality)
        .collect();
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality).then(a.rank().cmp(&b.rank())));
    clauses
}

/// What is answered with: the first that the client names and the path has.
pub(crate) fn choose(accept: &str, offer: Offer<'_>) -> Result<Wanted, Status> {
    if accept.trim().is_empty() {
        return Ok(Wanted { form: Form::Object, encoding: Encoding::Json });
    }
    let mut known = false;
    for clause in clauses(accept) {
        for encoding in ENCODINGS {
            if !clause.takes(encoding) {
                continue;
            }
            known = true;
            let Some(form) = clause.form() else { continue };
            let has = match form {
                Form::Object => encoding != Encoding::Protobuf || offer.protobuf,
                Form::Partial => true,
                Form::Table => encoding != Encoding::Protobuf,
                Form::Discovery => encoding == Encoding::Json,
            };
            let has = has && (form == Form::Object || offer.forms.contains(&form));
            if has && !(offer.watch && encoding == Encoding::Yaml) {
                return Ok(Wanted { form, encoding });
            }
        }
    }
    let types =
        ENCODINGS.iter().filter(|encoding| offer.protobuf || **encoding != Encoding::Protobuf);
    let streams = types.clone().filter(|encoding| **encoding != Encoding::Yaml);
    let streams = streams.map(|encoding| format!("{};stream=watch", encoding.media_type()));
    let whole = types.map(|encoding| encoding.media_type().to_owned());
    Err(if !known {
        Status::not_acceptable(&whole.chain(streams).collect::<Vec<_>>())
    } else if offer.watch {
        Status::not_converted(&streams.collect::<Vec<_>>())
    } else {
        Status::not_converted(&whole.collect::<Vec<_>>())
    })
}

/// The encoding of a body; `protobuf` says whether its kind has that form. No type at all means JSON, as upstream has it.
pub(crate) fn body(content_type: &str, protobuf: bool) -> Result<Encoding, Status> {
    let base = content_type.split(';').next().unwrap_or_default().trim();
    let reads = if protobuf { &ENCODINGS[..] } else { &ENCODINGS[..2] };
    if base.is_empty() {
        return Ok(Encoding::Json);
    }
    let found = reads.iter().copied().find(|encoding| encoding.media_type() == base);
    found.ok_or_else(|| {
        let types: Vec<&str> = reads.iter().map(|encoding| encoding.media_type()).collect();
        Status::unsupported_media_type(&types)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECTL: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
    const ALL: Offer<'_> =
        Offer { forms: &[Form::Table, Form::Partial], protobuf: true, watch: false };

    fn chosen(accept: &str, offer: Offer<'_>) -> (Form, Encoding) {
        let wanted = choose(accept, offer).unwrap();
        (wanted.form, wanted.encoding)
    }

    #[test]
    fn the_first_form_that_is_spoken_is_taken() {
        use Encoding::{Json, Protobuf, Yaml};
        let plain = Offer { forms: &[], ..ALL };
        let custom = Offer { protobuf: false, ..ALL };
        let protobuf = "application/vnd.kubernetes.protobuf";
        for (accept, offer, want) in [
            (KUBECTL, ALL, (Form::Table, Json)),
            (KUBECTL, plain, (Form::Object, Json)),
            ("", ALL, (Form::Object, Json)),
            ("*/*", ALL, (Form::Object, Json)),
            ("text/html, */*;q=0.1", ALL, (Form::Object, Json)),
            (protobuf, ALL, (Form::Object, Protobuf)),
            ("application/vnd.kubernetes.protobuf,application/json", custom, (Form::Object, Json)),
            ("application/json;q=0.5, application/yaml;q=0.9", ALL, (Form::Object, Yaml)),
            ("*/*, application/vnd.kubernetes.protobuf", ALL, (Form::Object, Protobuf)),
            (
                "application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1, application/json",
                ALL,
                (Form::Object, Json),
            ),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
                custom,
                (Form::Partial, Protobuf),
            ),
            (
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                ALL,
                (Form::Partial, Json),
            ),
            (
                "application/yaml, application/json",
                Offer { watch: true, ..ALL },
                (Form::Object, Json),
            ),
        ] {
            assert_eq!(chosen(accept, offer), want, "{accept}");
        }
    }

    #[test]
    fn what_nobody_speaks_is_refused_in_upstreams_words() {
        let words = |accept: &str, offer| choose(accept, offer).unwrap_err().message;
        assert_eq!(
            words("text/html", ALL),
            "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf, \
             application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
        );
        assert_eq!(
            words("application/json;as=Table;v=v9;g=meta.k8s.io", ALL),
            "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"
        );
        assert_eq!(
            words("application/yaml", Offer { watch: true, protobuf: false, ..ALL }),
            "only the following media types are accepted: application/json;stream=watch"
        );
        assert_eq!(choose("application/json;q=0", ALL).unwrap_err().code, 406);
    }

    #[test]
    fn bodies_of_other_types_are_refused_in_upstreams_words() {
        assert_eq!(body("application/json; charset=utf-8", true), Ok(Encoding::Json));
        assert_eq!(body("", true), Ok(Encoding::Json));
        assert_eq!(body("application/yaml", false), Ok(Encoding::Yaml));
        assert_eq!(body("application/vnd.kubernetes.protobuf", true), Ok(Encoding::Protobuf));
        let words = |status: Status| status.message;
        assert_eq!(
            body("text/plain", true).map_err(words),
            Err("the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, \
                 application/vnd.kubernetes.protobuf"
                .to_owned())
        );
        assert_eq!(
            body("application/vnd.kubernetes.protobuf", false).map_err(words),
            Err("the body of the request was in an unknown format - accepted media types include: application/json, application/yaml"
                .to_owned())
        );
    }
}
