//! Objects that a cluster is started with: read before it starts, applied before it says that it is up.

use moat_apiserver::{Client, Gvr, PatchType, Selection, json_of_document};
use moat_load::{Input, load};
use moat_model::Severity;
use serde_json::Value;
use std::fmt;

static DEFINITIONS: Gvr = Gvr::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");

/// What manifests hold, in the order in which it is applied: definitions of kinds, then namespaces, then the rest as it was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifests(Vec<Manifest>);

#[derive(Clone, Debug, PartialEq)]
struct Manifest {
    /// `web.yaml:12`.
    place: String,
    object: Value,
}

/// What keeps manifests from being applied, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Faults {}

impl Manifests {
    /// Reads manifests; a `List` is what it holds.
    ///
    /// Errors: something cannot be read, or does not say of which kind and name it is.
    pub fn read(inputs: &[Input]) -> Result<Self, Faults> {
        let loaded = load(inputs);
        let name = |id: moat_model::SourceId| {
            loaded.sources.get(id.0 as usize).map_or("", |source| source.name.as_str())
        };
        let mut faults: Vec<String> = loaded
            .diagnostics
            .iter()
            .filter(|one| one.severity == Severity::Error)
            .map(|one| {
                let (line, column) = (one.span.pos.line, one.span.pos.column);
                format!("{}:{line}:{column}: {}", name(one.span.source), one.message)
            })
            .collect();
        let mut all = Vec::new();
        for document in loaded.documents {
            let place = format!("{}:{}", name(document.source), document.value.pos.line);
            match json_of_document(document.value) {
                Ok(object) => flatten(&place, object, &mut all, &mut faults),
                Err(why) => faults.push(format!("{place}: {why}")),
            }
        }
        if !faults.is_empty() {
            return Err(Faults(faults));
        }
        all.sort_by_key(|one| match text(&one.object, "kind") {
            "CustomResourceDefinition" => 0,
            "Namespace" => 1,
            _ => 2,
        });
        Ok(Self(all))
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Applies all of them; one that is there already becomes what the manifest says, the rest of it stays.
    ///
    /// Errors: those that the server refuses, each with the server's words; the others are applied.
    pub(crate) async fn apply(&self, client: &Client) -> Result<(), Faults> {
        let mut faults = Vec::new();
        for Manifest { place, object } in &self.0 {
            if let Err(why) = apply(client, object).await {
                faults.push(format!("{place}: {why}"));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Faults(faults)) }
    }
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

fn flatten(place: &str, object: Value, all: &mut Vec<Manifest>, faults: &mut Vec<String>) {
    if text(&object, "kind") == "List" && text(&object, "apiVersion") == "v1" {
        let Value::Object(mut map) = object else { return };
        if let Some(Value::Array(items)) = map.remove("items") {
            items.into_iter().for_each(|item| flatten(place, item, all, faults));
        }
        return;
    }
    for field in ["apiVersion", "kind"] {
        if text(&object, field).is_empty() {
            faults.push(format!("{place}: no {field}, so that nobody knows what it is"));
            return;
        }
    }
    let metadata = &object["metadata"];
    if text(metadata, "name").is_empty() && text(metadata, "generateName").is_empty() {
        faults.push(format!("{place}: {} without metadata.name", text(&object, "kind")));
        return;
    }
    all.push(Manifest { place: place.to_owned(), object });
}

async fn apply(client: &Client, object: &Value) -> Result<(), String> {
    let (version, kind, name) =
        (text(object, "apiVersion"), text(object, "kind"), text(&object["metadata"], "name"));
    let served = client.kind(version, kind).ok_or_else(|| {
        format!("no kind {kind:?} in {version:?}: its definition has to come first")
    })?;
    let own = text(&object["metadata"], "namespace");
    let namespace = match (served.namespaced, own) {
        (false, _) => "",
        (true, "") => "default",
        (true, own) => own,
    };
    let refused = |status: moat_apiserver::Status| format!("{kind} {name:?}: {}", status.message);
    if name.is_empty() {
        let made = client.create(served.gvr.at(namespace, ""), object.clone()).await;
        return made.map(|_| ()).map_err(refused);
    }
    let at = served.gvr.at(namespace, name);
    let applied = client.patch(at, PatchType::Apply, object).await.map_err(refused)?;
    if served.gvr == DEFINITIONS {
        return established(client, name, applied).await.map_err(refused);
    }
    Ok(())
}

/// Waits until the kind of a definition is served, so that its objects can be applied.
async fn established(
    client: &Client,
    name: &str,
    mut definition: Value,
) -> Result<(), moat_apiserver::Status> {
    let selection = Selection { fields: format!("metadata.name={name}"), ..Selection::default() };
    let is = |definition: &Value, kind: &str, status: &str| {
        let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|one| one["type"] == kind && one["status"] == status)
    };
    loop {
        // One whose names are another's is never served; its objects say so.
        if is(&definition, "Established", "True") || is(&definition, "NamesAccepted", "False") {
            return Ok(());
        }
        let revision = text(&definition["metadata"], "resourceVersion").parse().unwrap_or(0);
        let mut watch = client.watch(DEFINITIONS.at("", ""), &selection, revision)?;
        if let Some(change) = watch.next().await?.last() {
            definition = change.value();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn read(text: &str) -> Result<Manifests, Faults> {
        Manifests::read(&[Input::Text { name: "all.yaml".to_owned(), text: text.to_owned() }])
    }

    #[test]
    fn definitions_and_namespaces_come_first() {
        let all = read(
            "{apiVersion: v1, kind: Pod, metadata: {name: p}}\n---\n{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Namespace, metadata: {name: team}}, {apiVersion: v1, kind: Secret, metadata: {generateName: s-}}]}\n---\n{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: d}}\n",
        );
        let kinds: Vec<String> = all
            .unwrap()
            .0
            .iter()
            .map(|one| format!("{} {}", text(&one.object, "kind"), one.place))
            .collect();
        assert_eq!(
            kinds,
            [
                "CustomResourceDefinition all.yaml:5",
                "Namespace all.yaml:3",
                "Pod all.yaml:1",
                "Secret all.yaml:3"
            ]
        );
    }

    #[test]
    fn what_is_no_object_is_named_with_its_line() {
        let faults =
            read("{apiVersion: v1, kind: Pod}\n---\n{kind: Pod, metadata: {name: p}}\n---\na: [\n")
                .unwrap_err();
        expect![[r#"
            all.yaml:6:1: a value is missing here
            all.yaml:1: Pod without metadata.name
            all.yaml:3: no apiVersion, so that nobody knows what it is"#]]
        .assert_eq(&faults.to_string());
    }
}
