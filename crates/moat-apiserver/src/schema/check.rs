//! Holds a body against its type: fields that the type does not have, and values of another type, in the words of upstream's decoder.

use super::{DEFINITIONS, Schema};
use crate::json::join;
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
    let mut walk = Walk::default();
    walk.value(schema, value, "", "", "");
    walk.findings
}

#[derive(Debug, Default)]
struct Walk {
    findings: Findings,
}

impl Walk {
    /// `path` names the place with indexes, `plain` without, as the two decoders upstream do; `owner` is the type that has the field.
    fn value(&mut self, schema: Schema<'_>, value: &Value, path: &str, plain: &str, owner: &str) {
        if !schema.is_known() || value.is_null() {
            return;
        }
        let resolved = schema.resolved();
        let name = schema.reference().unwrap_or_else(|| definition_name(schema));
        let wrong = match (resolved.text("type"), value) {
            ("object", Value::Object(map)) => {
                let own = simple(name);
                let known = resolved.properties();
                for (key, inner) in map {
                    let below = resolved.field(key);
                    let inner_path = join(path, key);
                    if below.is_known() {
                        let owner = if known.is_some() { own } else { owner };
                        self.value(below, inner, &inner_path, &join(plain, key), owner);
                    } else if known.is_some() {
                        self.findings.unknown.push(format!("unknown field {inner_path:?}"));
                    }
                }
                false
            }
            ("array", Value::Array(items)) => {
                for (at, item) in items.iter().enumerate() {
                    self.value(schema.items(), item, &format!("{path}[{at}]"), plain, owner);
                }
                false
            }
            ("string", Value::String(_))
            | ("boolean", Value::Bool(_))
            | ("number", Value::Number(_)) => false,
            ("string", Value::Number(_)) => {
                !matches!(resolved.text("format"), "int-or-string" | "quantity")
            }
            ("integer", Value::Number(number)) => {
                let whole = number.as_i64();
                let small = resolved.text("format") != "int32";
                !whole.is_some_and(|whole| small || i32::try_from(whole).is_ok())
            }
            ("" | "number", _) => false,
            _ => true,
        };
        if wrong && self.findings.wrong_type.is_none() {
            let place =
                if owner.is_empty() { plain.to_owned() } else { format!("{owner}.{plain}") };
            self.findings.wrong_type = Some(format!(
                "json: cannot unmarshal {} into Go struct field {place} of type {}",
                json_type(value),
                go_type(schema)
            ));
        }
    }
}

/// The key of a definition that is held by value: only kinds are, at the top.
fn definition_name(schema: Schema<'_>) -> &'static str {
    let Some(map) = schema.0 else { return "" };
    let found = DEFINITIONS
        .iter()
        .find(|(_, definition)| definition.as_object().is_some_and(|own| std::ptr::eq(own, map)));
    found.map_or("", |(name, _)| name)
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
    if let Some(name) = schema.reference() {
        let mut parts = name.rsplit('.');
        let (kind, package) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        return format!("{package}.{kind}");
    }
    match (schema.text("type"), schema.text("format")) {
        ("string", "byte") => "[]uint8".to_owned(),
        ("string", _) => "string".to_owned(),
        ("boolean", _) => "bool".to_owned(),
        ("integer", "int64") => "int64".to_owned(),
        ("integer", _) => "int32".to_owned(),
        ("array", _) => format!("[]{}", go_type(schema.items())),
        ("object", _) => {
            let any =
                schema.0.and_then(|map| map.get("additionalProperties")).and_then(Value::as_object);
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
                "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels.a of type string",
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
