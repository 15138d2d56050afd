//! Events: what those say that have a time of their own, and where they stand.

use super::{PLAIN, Strategy, check};
use crate::names::Rule;
use crate::object::{meta, text};
use crate::status::Cause;
use serde_json::Value;

/// Upstream asks nothing of the names of events of the core.
pub(super) const STRATEGY: Strategy = Strategy { names: Rule::Path, validate: event, ..PLAIN };

/// Letters of an instance, an action and a reason.
const WORD_MAX: usize = 128;
const NOTE_MAX: usize = 1024;

fn event(object: &Value, causes: &mut Vec<Cause>) {
    let (own, about) = (meta(object, "namespace"), text(object, "/involvedObject/namespace"));
    let timed = object["eventTime"].is_string();
    let elsewhere = if about.is_empty() {
        own != "default" && !(timed && own == "kube-system")
    } else {
        own != about && !timed
    };
    if elsewhere {
        let why = "does not match event.namespace";
        causes.push(Cause::invalid("involvedObject.namespace", &about.into(), why));
    }
    if !timed {
        return;
    }
    let controller = text(object, "/reportingComponent");
    check::required_at(object, "reportingComponent", causes);
    check::qualified(controller, "reportingComponent", causes);
    for field in ["reportingInstance", "action", "reason"] {
        check::required_at(object, field, causes);
        if WORD_MAX < object[field].as_str().unwrap_or_default().len() {
            let why = format!("can have at most {WORD_MAX} characters");
            causes.push(Cause::invalid(field, &"".into(), &why));
        }
    }
    if NOTE_MAX < text(object, "/message").len() {
        let why = format!("can have at most {NOTE_MAX} characters");
        causes.push(Cause::invalid("message", &"".into(), &why));
    }
}
