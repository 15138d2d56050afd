//! Holds a body against its type: fields that the type does not have, and values of another type, in the words of upstream's decoder.

use super::Schema;
use crate::json::Place;
use serde_json::Value;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// `unknown field "spec.foo"`, in the order of the body.
    pub(crate) unknown: Vec<String>,
    /// The first value of a wrong type: nobody can do anything with such an object, so it is refused whatever the client wants.
    pub(crate) wrong_type: Option<String>,
}

/// Checks a body against the type of its kind.
pub(crate) fn check(schema: Schema<'_>, value: &Value) -> Findings {
    let mut findings = Findings::default();
    findings.value(schema, value, Place::TOP, "");
    findings
}

impl Findings {
    /// The two decoders upstream name a place with indexes and without; `owner` is the type that has the field.
    fn value(&mut self, schema: Schema<'_>, value: &Value, place: Place<'_>, owner: &str) {
        let Some(resolved) = schema.resolved() else { return };
        let wrong = match (resolved.kind, value) {
            (_, Value::Null) | ("", _) => false,
            ("object", Value::Object(map)) => {
                let known = resolved.fields.is_some();
                let owner = if known { simple(&resolved.name) } else { owner };
                for (key, inner) in map {
                    let below = schema.field(key);
                    if below.is_known() {
                        let inside = if known { place.field(key) } else { place.key(key) };
                        self.value(below, inner, inside, owner);
                    } else if known {
                        let path = place.field(key).path();
                        self.unknown.push(format!("unknown field {path:?}"));
                    }
                }
                false
            }
            ("array", Value::Array(items)) => {
                for (at, item) in items.iter().enumerate() {
                    self.value(schema.items(), item, place.item(at), owner);
                }
                false
            }
            ("string", Value::String(text)) => {
                if self.wrong_type.is_none() {
                    self.wrong_type = super::format::wrong(&resolved.format, text);
                }
                false
            }
            ("boolean", Value::Bool(_)) | ("number", Value::Number(_)) => false,
            ("string", Value::Number(_)) => {
                !matches!(&*resolved.format, "int-or-string" | "quantity")
            }
            ("integer", Value::Number(number)) => {
                let whole = number.as_i64();
                let small = &*resolved.format != "int32";
                !whole.is_some_and(|whole| small || i32::try_from(whole).is_ok())
            }
            ("number", _) => false,
            _ => true,
        };
        if wrong && self.wrong_type.is_none() {
            let plain = place.names();
            let place = if owner.is_empty() { plain } else { format!("{owner}.{plain}") };
            self.wrong_type = Some(format!(
                "json: cannot unmarshal {} into Go struct field {place} of type {}",
                json_type(value),
                go_type(schema)
            ));
        }
    }
}

/// `DeploymentSpec` of `io.k8s.api.apps.v1.DeploymentSpec`.
fn simple(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn json_type(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(number) if number.is_f64() => format!("number {number}"),
        Value::Number(number) => match number.as_i64() {
            Some(whole) if i32::try_from(whole).is_err() => format!("number {number}"),
            _ => "number".to_owned(),
        },
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    }
}

/// The type as Go writes it; clients' users know these names from every other server.
fn go_type(schema: Schema<'_>) -> String {
    let Some(own) = schema.0 else { return String::new() };
    if let Some(name) = &own.reference {
        let mut parts = name.rsplit('.');
        let (kind, package) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        return format!("{package}.{kind}");
    }
    match (own.kind, &*own.format) {
        ("string", "byte") => "[]uint8".to_owned(),
        ("string", _) => "string".to_owned(),
        ("boolean", _) => "bool".to_owned(),
        ("integer", "int64") => "int64".to_owned(),
        ("integer", _) => "int32".to_owned(),
        ("array", _) => format!("[]{}", go_type(schema.items())),
        ("object", _) => {
            let any = own.any.as_deref();
            format!(
                "map[string]{}",
                any.map_or("string".to_owned(), |any| go_type(Schema(Some(any))))
            )
        }
        (other, _) => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(kind: (&str, &str, &str), value: &Value) -> (Vec<String>, Option<String>) {
        let findings = check(Schema::of_kind(kind.0, kind.1, kind.2), value);
        (findings.unknown, findings.wrong_type)
    }

    #[test]
    fn unknown_fields_are_named_with_their_place() {
        let body = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "foo": 1,
            "metadata": {"name": "a", "labels": {"any": "thing"}, "nome": "b"},
            "spec": {"template": {"spec": {"containers": [{"name": "a"}, {"imag": "b"}]}}},
        });
        let (unknown, wrong) = found(("apps", "v1", "Deployment"), &body);
        assert_eq!(wrong, None);
        assert_eq!(
            unknown,
            [
                "unknown field \"foo\"",
                "unknown field \"metadata.nome\"",
                "unknown field \"spec.template.spec.containers[1].imag\""
            ]
        );
    }

    #[test]
    fn values_of_another_type_are_told_as_go_tells_them() {
        let cases = [
            (
                json!({"spec": {"replicas": "3"}}),
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                json!({"metadata": {"labels": {"a": 1}}}),
                "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
            ),
            (
                json!({"spec": {"template": {"spec": {"containers": {}}}}}),
                "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
            ),
            (
                json!({"spec": 3}),
                "json: cannot unmarshal number into Go struct field Deployment.spec of type v1.DeploymentSpec",
            ),
        ];
        for (body, want) in cases {
            assert_eq!(found(("apps", "v1", "Deployment"), &body).1.as_deref(), Some(want));
        }
    }

    #[test]
    fn what_go_accepts_is_accepted() {
        let body = json!({
            "metadata": {"labels": null, "creationTimestamp": null},
            "spec": {"ports": [{"port": 80, "targetPort": "http"}, {"port": 81, "targetPort": 8080}], "selector": {"a": "b"}},
        });
        assert_eq!(found(("", "v1", "Service"), &body), (vec![], None));
        let quota = json!({"spec": {"hard": {"cpu": 2, "memory": "1Gi"}}});
        assert_eq!(found(("", "v1", "ResourceQuota"), &quota), (vec![], None));
    }
}
