//! Rules in CEL of kinds that clients define: which are taken, and what they say of objects.

use crate::common::{client, get, post, send, server};
use expect_test::{Expect, expect};
use kube::Client;
use serde_json::{Value, json};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const GATES: &str = "/apis/example.com/v1/namespaces/default/gates";
const MERGE: &str = "application/merge-patch+json";

fn definition(spec: &Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "gates.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "gates", "kind": "Gate"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "x-kubernetes-validations": [{"rule": "self.metadata.name.size() < 10", "message": "a short name, please"}],
                    "properties": {
                        "spec": spec,
                        "status": {
                            "type": "object", "properties": {"n": {"type": "integer"}},
                            "x-kubernetes-validations": [{"rule": "self.n >= oldSelf.n", "message": "n only grows"}],
                        },
                    },
                }},
            }],
        },
    })
}

fn rules() -> Value {
    json!({
        "type": "object",
        "x-kubernetes-validations": [
            {"rule": "self.min <= self.max", "messageExpression": "'min is %d, which is more than max, %d'.format([self.min, self.max])", "fieldPath": ".min"},
            {"rule": "!has(self.class) || self.class == oldSelf.class", "message": "class does not change", "reason": "FieldValueForbidden"},
            {"rule": "oldSelf.hasValue() || self.min > 0", "optionalOldSelf": true, "message": "begins above zero"},
        ],
        "required": ["min", "max"],
        "properties": {
            "min": {"type": "integer"}, "max": {"type": "integer"}, "class": {"type": "string"},
            "cidr": {"type": "string", "x-kubernetes-validations": [{"rule": "isCIDR(self) && cidr(self).masked() == cidr(self)"}]},
            "hosts": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {
                    "type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "port": {"x-kubernetes-int-or-string": true}},
                    "x-kubernetes-validations": [
                        {"rule": "!has(self.port) || (type(self.port) == int ? self.port > 0 : self.port.matches('^[a-z]+$'))", "message": "a port or its name", "reason": "FieldValueRequired"},
                        {"rule": "!has(oldSelf.port) || has(self.port)", "message": "a port stays"},
                    ],
                },
            },
            "labels": {"type": "object", "additionalProperties": {"type": "string", "x-kubernetes-validations": [{"rule": "self.size() < 4", "message": "too long"}]}},
        },
    })
}

fn gate(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Gate", "metadata": {"name": name}, "spec": spec})
}

async fn defined() -> (moat_apiserver::Running, Client) {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let made = post(&client, CRDS, &definition(&rules())).await;
    assert_eq!(made.code, 201, "{}", made.text);
    (server, client)
}

/// Causes of a refusal, a line each.
fn told(answer: &crate::common::Answer, expected: Expect) {
    assert_eq!(answer.code, 422, "{}", answer.text);
    let line = |cause: &Value| {
        format!("{} {}: {}\n", cause["reason"], cause["field"], cause["message"].as_str().unwrap())
    };
    let causes = answer.json()["details"]["causes"].as_array().unwrap().clone();
    expected.assert_eq(&causes.iter().map(line).collect::<String>());
}

#[tokio::test]
async fn objects_are_held_against_rules_when_they_are_made() {
    let (_server, client) = defined().await;
    let fine = gate(
        "a",
        json!({"min": 1, "max": 2, "cidr": "10.0.0.0/8", "hosts": [{"name": "x", "port": "http"}, {"name": "y", "port": 1}], "labels": {"k": "v"}}),
    );
    let made = post(&client, GATES, &fine).await;
    assert_eq!(made.code, 201, "{}", made.text);

    let broken = gate(
        "much-too-long",
        json!({"min": 0, "max": -1, "cidr": "10.1.0.0/8", "hosts": [{"name": "x", "port": "HTTP"}], "labels": {"k": "longer"}}),
    );
    let answer = post(&client, GATES, &broken).await;
    told(
        &answer,
        expect![[r#"
        "FieldValueInvalid" "<nil>": Invalid value: a short name, please
        "FieldValueInvalid" "spec.min": Invalid value: min is 0, which is more than max, -1
        "FieldValueInvalid" "spec": Invalid value: begins above zero
        "FieldValueInvalid" "spec.cidr": Invalid value: "10.1.0.0/8": failed rule: isCIDR(self) && cidr(self).masked() == cidr(self)
        "FieldValueRequired" "spec.hosts[0]": Required value: a port or its name
        "FieldValueInvalid" "spec.labels[k]": Invalid value: "longer": too long
    "#]],
    );
    expect![[r#"Gate.example.com "much-too-long" is invalid: [<nil>: Invalid value: a short name, please, spec.min: Invalid value: min is 0, which is more than max, -1, spec: Invalid value: begins above zero, spec.cidr: Invalid value: "10.1.0.0/8": failed rule: isCIDR(self) && cidr(self).masked() == cidr(self), spec.hosts[0]: Required value: a port or its name, spec.labels[k]: Invalid value: "longer": too long]"#]].assert_eq(answer.json()["message"].as_str().unwrap());

    // Where the schema is broken itself, rules have nothing to rely on.
    let answer = post(&client, GATES, &gate("b", json!({"min": "1", "max": -1}))).await;
    told(
        &answer,
        expect![[r#"
        "FieldValueTypeInvalid" "spec.min": Invalid value: "string": spec.min in body must be of type integer: "string"
        "FieldValueInvalid" "<nil>": Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation
    "#]],
    );
    // A rule that cannot be evaluated does not hold.
    let answer =
        post(&client, GATES, &gate("b", json!({"min": 1, "max": 2, "cidr": "10.0.0.0"}))).await;
    told(
        &answer,
        expect![[r#"
        "FieldValueInvalid" "spec.cidr": Invalid value: "10.0.0.0": failed rule: isCIDR(self) && cidr(self).masked() == cidr(self)
    "#]],
    );
}

#[tokio::test]
async fn changes_are_held_against_what_was() {
    let (_server, client) = defined().await;
    let spec = json!({"min": 1, "max": 2, "class": "x", "hosts": [{"name": "x", "port": 1}, {"name": "y"}]});
    assert_eq!(post(&client, GATES, &gate("a", spec)).await.code, 201);
    let path = format!("{GATES}/a");
    let patch = |body: Value| {
        let (client, path) = (client.clone(), path.clone());
        async move { send(&client, "PATCH", &path, MERGE, body.to_string()).await }
    };
    let answer =
        patch(json!({"spec": {"class": "y", "hosts": [{"name": "z"}, {"name": "x"}]}})).await;
    told(
        &answer,
        expect![[r#"
        "FieldValueForbidden" "spec": Forbidden: class does not change
        "FieldValueInvalid" "spec.hosts[1]": Invalid value: a port stays
    "#]],
    );
    // What an old object may be without, a new one may not.
    let answer = patch(json!({"spec": {"min": 0, "hosts": [{"name": "x", "port": 2}]}})).await;
    assert_eq!(answer.code, 200, "{}", answer.text);

    let status = format!("{path}/status");
    let set = |n: i64| {
        let (client, status) = (client.clone(), status.clone());
        async move {
            send(&client, "PATCH", &status, MERGE, json!({"status": {"n": n}}).to_string()).await
        }
    };
    assert_eq!(set(3).await.code, 200);
    told(
        &set(2).await,
        expect![[r#"
        "FieldValueInvalid" "status": Invalid value: n only grows
    "#]],
    );
    assert_eq!(set(4).await.code, 200);

    // Applied, it is the same.
    let body = gate("a", json!({"min": 5, "max": 2}));
    let apply = format!("{path}?fieldManager=me&force=true");
    let answer =
        send(&client, "PATCH", &apply, "application/apply-patch+yaml", body.to_string()).await;
    told(
        &answer,
        expect![[r#"
        "FieldValueInvalid" "spec.min": Invalid value: min is 5, which is more than max, 2
    "#]],
    );
    assert_eq!(get(&client, &path).await.json()["spec"]["min"], 0);
}

#[tokio::test]
async fn what_breaks_a_rule_that_came_later_may_stay_and_not_come_anew() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let open =
        json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}});
    assert_eq!(post(&client, CRDS, &definition(&open)).await.code, 201);
    assert_eq!(post(&client, GATES, &gate("a", json!({"a": "BAD", "b": "x"}))).await.code, 201);
    let mut strict = get(&client, &format!("{CRDS}/gates.example.com")).await.json();
    let own = strict
        .pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties")
        .unwrap();
    for field in ["a", "b"] {
        own[field]["x-kubernetes-validations"] =
            json!([{"rule": "self == self.lowerAscii()", "message": "small letters"}]);
    }
    let answer = send(
        &client,
        "PUT",
        &format!("{CRDS}/gates.example.com"),
        "application/json",
        strict.to_string(),
    )
    .await;
    assert_eq!(answer.code, 200, "{}", answer.text);

    let patch = |body: Value| {
        let client = client.clone();
        async move { send(&client, "PATCH", &format!("{GATES}/a"), MERGE, body.to_string()).await }
    };
    assert_eq!(patch(json!({"spec": {"b": "y"}})).await.code, 200);
    told(
        &patch(json!({"spec": {"a": "Bad", "b": "Y"}})).await,
        expect![[r#"
        "FieldValueInvalid" "spec.a": Invalid value: "Bad": small letters
        "FieldValueInvalid" "spec.b": Invalid value: "Y": small letters
    "#]],
    );
    told(
        &post(&client, GATES, &gate("b", json!({"a": "BAD"}))).await,
        expect![[r#"
        "FieldValueInvalid" "spec.a": Invalid value: "BAD": small letters
    "#]],
    );
}

#[tokio::test]
async fn rules_that_are_none_are_refused_with_their_definition() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let rule = |rule: &str| json!([{"rule": rule}]);
    let spec = json!({"type": "object", "properties": {
        "field": {"type": "object", "properties": {"a": {"type": "string"}}, "x-kubernetes-validations": rule("self.nope == 1")},
        "function": {"type": "string", "x-kubernetes-validations": rule("self.shout() == 'A'")},
        "operator": {"type": "integer", "x-kubernetes-validations": rule("self == 'a'")},
        "syntax": {"type": "string", "x-kubernetes-validations": rule("self ==")},
        "kind": {"type": "string", "x-kubernetes-validations": rule("self")},
        "request": {"type": "string", "x-kubernetes-validations": rule("authorizer.path('/').check('get').allowed()")},
        "empty": {"type": "string", "x-kubernetes-validations": rule(" ")},
        "message": {"type": "string", "x-kubernetes-validations": [{"rule": "true", "messageExpression": "1", "reason": "Because", "fieldPath": ".x"}]},
        "wrapped": {"type": "string", "x-kubernetes-validations": rule("true\n&& true")},
        "old": {"type": "array", "items": {"type": "string", "x-kubernetes-validations": rule("self == oldSelf")}},
        "optional": {"type": "string", "x-kubernetes-validations": [{"rule": "true", "optionalOldSelf": true}]},
    }});
    told(
        &post(&client, CRDS, &definition(&spec)).await,
        expect![[r#"
        "FieldValueInvalid" "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[field].x-kubernetes-validations[0].rule": Invalid value: {"Rule":"self.nope == 1","Message":"","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}: compilation failed: ERROR: <input>:1:5: undefined field 'nope'
         | self.nope == 1
         | ....^
        "FieldValueInvalid" "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[function].x-kubernetes-validations[0].rule": Invalid value: {"Rule":"self.shout() == 'A'","Message":"","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}: compilation failed: ERROR: <input>:1:5: undeclared reference to 'shout' (in container '')
         | self.shout() == 'A'
         | ....^
        "FieldValueInvalid" "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[operator].x-kubernetes-validations[0].rule": Invalid value: {"Rule":"self == 'a'","Message":"","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}: compilation failed: ERROR: <input>:1:6: found no matching overload for '_==_' applied to '(int, string)'
         | self == 'a'
         | .....^
        "FieldValueInvalid" "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[syntax].x-kubernetes-validations[0].rule": Invalid value: {"Rule":"self ==","Message":"","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}: compilation failed: ERROR: <input>:1:8: Syntax error: mismatched input '<EOF>' expecting an expression
         | self ==
         | .......^
        "FieldValueInvalid" "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[kind].x-kubernetes-validations[0].rule": Invalid value: {"Rule":"self","Message":"","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}: cel expression must evaluate to a bool
        "FieldValueInvalid" "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[request].x-kubernetes-validations[0].rule": Invalid value: {"Rule":"authorizer.path('/').check('get').allowed()","Message":"","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}: compilation failed: ERROR: <input>:1:1: undeclared reference to 'authorizer' (in container '')
         | authorizer.path('/').check('get').allowed()
         | ^
        ERROR: <input>:1:11: undeclared reference to 'path' (in container '')
         | authorizer.path('/').check('get').allowed()
         | ..........^
        ERROR: <input>:1:21: undeclared reference to 'check' (in container '')
         | authorizer.path('/').check('get').allowed()
         | ....................^
        ERROR: <input>:1:34: undeclared reference to 'allowed' (in container '')
         | authorizer.path('/').check('get').allowed()
         | .................................^
        "FieldValueRequired" "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[empty].x-kubernetes-validations[0].rule": Required value: rule is not specified
        "FieldValueNotSupported" "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[message].x-kubernetes-validations[0].reason": Unsupported value: "Because": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"
        "FieldValueInvalid" "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[message].x-kubernetes-validations[0].fieldPath": Invalid value: ".x": must be a valid path
        "FieldValueRequired" "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[wrapped].x-kubernetes-validations[0].message": Required value: message must be specified if rule contains line breaks
        "FieldValueInvalid" "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[old].items.x-kubernetes-validations[0].rule": Invalid value: "self == oldSelf": oldSelf cannot be used on the uncorrelatable portion of the schema within spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[old]
        "FieldValueInvalid" "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[optional].x-kubernetes-validations[0].optionalOldSelf": Invalid value: true: may not be set if oldSelf is not used in rule
    "#]],
    );
    assert_eq!(get(&client, CRDS).await.json()["items"], json!([]));
}

#[tokio::test]
async fn rules_end_when_they_take_too_long() {
    let server = server().await;
    let client = client(&server.kubeconfig()).await;
    let spec = json!({"type": "object", "properties": {
        "list": {"type": "array", "items": {"type": "integer"}, "x-kubernetes-validations": [
            {"rule": "self.all(a, self.all(b, self.all(c, a + b + c >= 0)))", "message": "for ever"},
            {"rule": "size(self) < 1000000"},
        ]},
    }});
    assert_eq!(post(&client, CRDS, &definition(&spec)).await.code, 201);
    let list: Vec<u32> = (0..1000).collect();
    let began = std::time::Instant::now();
    let answer = post(&client, GATES, &gate("a", json!({"list": list}))).await;
    told(
        &answer,
        expect![[r#"
        "FieldValueInvalid" "spec.list": Invalid value: "array": 'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: for ever
    "#]],
    );
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

/// How many definitions of a directory are taken: `MOAT_CRDS=DIR cargo test … definitions_of_others -- --nocapture`.
#[tokio::test]
async fn definitions_of_others_are_taken() {
    let Some(dir) = std::env::var_os("MOAT_CRDS") else {
        eprintln!("SKIPPED: MOAT_CRDS names no directory with directories of definitions");
        return;
    };
    let sorted = |dir: &std::path::Path| {
        let mut all: Vec<_> =
            std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        all.sort();
        all
    };
    let mut refused = 0;
    for project in sorted(dir.as_ref()) {
        let (mut n, mut taken) = (0, 0);
        for file in sorted(&project) {
            // Definitions of several releases have the same name.
            let server = server().await;
            let client = client(&server.kubeconfig()).await;
            let answer =
                send(&client, "POST", CRDS, "application/yaml", std::fs::read(&file).unwrap())
                    .await;
            n += 1;
            if answer.code == 201 {
                taken += 1;
            } else {
                let message = answer.json()["message"]
                    .as_str()
                    .unwrap_or_default()
                    .chars()
                    .take(600)
                    .collect::<String>();
                eprintln!("{}: {} {message}", file.display(), answer.code);
            }
            server.shutdown().await;
        }
        eprintln!("{}: {taken} of {n}", project.display());
        refused += n - taken;
    }
    assert_eq!(refused, 0);
}
