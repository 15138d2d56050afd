//! What was measured: the objects of the metrics APIs, which nobody serves here unless a definition says that they are stored.

use super::calculate::{Sample, Samples};
use crate::context::Context;
use crate::json::{list, seconds, text};
use moat_apiserver::{Gvr, Quantity, Selection};
use serde_json::Value;

static POD_METRICS: Gvr = Gvr::new("metrics.k8s.io", "v1beta1", "pods");
const EXTERNAL: &str = "external.metrics.k8s.io";

/// What an autoscaler's metric found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// What each pod uses.
    Pods(Result<Samples, String>),
    /// Values that are of no pod, in thousandths.
    Values(Result<Vec<i64>, String>),
    /// Only an aggregated API can serve this kind of metric, and there is none.
    Custom,
}

/// Reads what a metric of an autoscaler in a namespace asks for.
pub(super) async fn read(
    context: &Context,
    namespace: &str,
    metric: &Value,
    selector: &str,
) -> Reading {
    match text(metric, "/type") {
        "Resource" => {
            let items = list_of(context, &POD_METRICS, namespace, selector).await;
            Reading::Pods(
                items.and_then(|items| samples(&items, text(metric, "/resource/name"), "")),
            )
        }
        "ContainerResource" => {
            let own = &metric["containerResource"];
            let items = list_of(context, &POD_METRICS, namespace, selector).await;
            Reading::Pods(
                items
                    .and_then(|items| samples(&items, text(own, "/name"), text(own, "/container"))),
            )
        }
        "External" => {
            let own = &metric["external"]["metric"];
            let gvr = Gvr {
                group: EXTERNAL.into(),
                version: "v1beta1".into(),
                plural: text(own, "/name").to_owned().into(),
            };
            let selector = words(&own["selector"]);
            let items = list_of(context, &gvr, namespace, &selector).await;
            Reading::Values(
                items
                    .map_err(|why| {
                        format!("unable to fetch metrics from external metrics API: {why}")
                    })
                    .and_then(|items| values(&items)),
            )
        }
        _ => Reading::Custom,
    }
}

/// The objects of a kind, if it is served; else client-go's words.
async fn list_of(
    context: &Context,
    gvr: &Gvr,
    namespace: &str,
    selector: &str,
) -> Result<Vec<Value>, String> {
    let selection = Selection { labels: selector.to_owned(), ..Selection::default() };
    let listed = context.cluster.list(gvr.at(namespace, ""), &selection).await;
    let listed = listed.map_err(|status| match status.code {
        404 => format!("{} (get {}.{})", status.message, gvr.plural, gvr.group),
        _ => status.message,
    })?;
    let items = listed.objects.iter().map(|one| serde_json::from_slice(&one.value));
    items.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// What pods use of a resource, in all containers or in one.
pub(super) fn samples(items: &[Value], resource: &str, container: &str) -> Result<Samples, String> {
    if items.is_empty() {
        return Err("no metrics returned from resource metrics API".to_owned());
    }
    let milli = |one: &Value| Quantity::read(&one["usage"][resource]).map(Quantity::milli);
    let of = |item: &Value| {
        let mut all = list(item, "/containers").iter();
        let value = if !container.is_empty() {
            milli(all.find(|one| text(one, "/name") == container)?)?
        } else if all.len() == 0 {
            return None;
        } else {
            // A pod of which one container was not measured was not measured.
            all.map(milli).try_fold(0_i64, |sum, one| Some(sum.saturating_add(one?)))?
        };
        let time = seconds(text(item, "/timestamp")).unwrap_or(0);
        let sample = Sample { value, time, window: window(text(item, "/window")) };
        Some((text(item, "/metadata/name").to_owned(), sample))
    };
    Ok(items.iter().filter_map(of).collect())
}

fn values(items: &[Value]) -> Result<Vec<i64>, String> {
    if items.is_empty() {
        return Err("no metrics returned from external metrics API".to_owned());
    }
    Ok(items.iter().filter_map(|one| Quantity::read(&one["value"])).map(Quantity::milli).collect())
}

/// Whole seconds of Go's `1m30s`.
fn window(text: &str) -> i64 {
    let (mut total, mut rest) = (0_i64, text);
    while !rest.is_empty() {
        let is_number = |char: char| char.is_ascii_digit() || char == '.';
        let unit_at = rest.find(|char| !is_number(char)).unwrap_or(rest.len());
        let (number, after) = rest.split_at(unit_at);
        let (unit, after) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        let seconds = match unit {
            "h" => 3600,
            "m" => 60,
            "s" => 1,
            _ => 0,
        };
        let whole = number.split('.').next().and_then(|digits| digits.parse::<i64>().ok());
        total = total.saturating_add(whole.unwrap_or(0).saturating_mul(seconds));
        rest = after;
    }
    total
}

/// A `LabelSelector` as text, which is how lists take it.
fn words(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let labels = labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let expressions = list(selector, "/matchExpressions").iter().map(|one| {
        let values: Vec<&str> = list(one, "/values").iter().filter_map(Value::as_str).collect();
        let (key, values) = (text(one, "/key"), values.join(","));
        match text(one, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        }
    });
    labels.chain(expressions).collect::<Vec<_>>().join(",")
}

/// A `LabelSelector` as Go prints it; upstream's messages have it so.
pub(super) fn go(selector: &Value) -> String {
    if selector.is_null() {
        return "nil".to_owned();
    }
    let mut labels: Vec<String> = selector["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}: {},", value.as_str().unwrap_or_default()))
        .collect();
    labels.sort();
    let expressions = list(selector, "/matchExpressions").iter().map(|one| {
        let values: Vec<&str> = list(one, "/values").iter().filter_map(Value::as_str).collect();
        format!(
            "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{}],}},",
            text(one, "/key"),
            text(one, "/operator"),
            values.join(" ")
        )
    });
    let expressions: String = expressions.collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}",
        labels.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn durations_of_go_are_read() {
        for (text, seconds) in [("30s", 30), ("1m0s", 60), ("1h2m3.5s", 3723), ("10ms", 0), ("", 0)]
        {
            assert_eq!(window(text), seconds, "{text}");
        }
    }

    #[test]
    fn selectors_are_written_both_ways() {
        let selector = json!({ "matchLabels": { "queue": "work" }, "matchExpressions": [{ "key": "a", "operator": "In", "values": ["b", "c"] }] });
        assert_eq!(words(&selector), "queue=work,a in (b,c)");
        assert_eq!(
            go(&selector),
            "&LabelSelector{MatchLabels:map[string]string{queue: work,},MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:a,Operator:In,Values:[b c],},},}"
        );
        assert_eq!((words(&Value::Null).as_str(), go(&Value::Null).as_str()), ("", "nil"));
    }

    #[test]
    fn a_pod_with_a_container_that_was_not_measured_was_not_measured() {
        let item = |name: &str, containers: Value| json!({ "metadata": { "name": name }, "timestamp": "2026-01-01T00:00:00Z", "window": "30s", "containers": containers });
        let items = [
            item(
                "a",
                json!([{ "name": "x", "usage": { "cpu": "100m" } }, { "name": "y", "usage": { "cpu": "1" } }]),
            ),
            item(
                "b",
                json!([{ "name": "x", "usage": { "cpu": "100m" } }, { "name": "y", "usage": {} }]),
            ),
            item("c", json!([])),
        ];
        let of = |container| samples(&items, "cpu", container).unwrap();
        let named = |samples: Samples| {
            samples.into_iter().map(|(name, one)| (name, one.value)).collect::<Vec<_>>()
        };
        assert_eq!(named(of("")), [("a".to_owned(), 1100)]);
        assert_eq!(named(of("x")), [("a".to_owned(), 100), ("b".to_owned(), 100)]);
        assert_eq!(named(of("y")), [("a".to_owned(), 1000)]);
        assert!(samples(&[], "cpu", "").is_err());
    }
}
