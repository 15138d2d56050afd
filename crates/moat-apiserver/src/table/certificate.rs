//! Rows of requests for certificates.

use super::age::human;
use super::{Columns, age, shown};
use crate::object::{list, meta, number, text};
use crate::part::Keep;
use serde_json::Value;

pub(super) const REQUEST: Columns = Columns {
    columns: &[
        shown("Name"),
        shown("Age"),
        shown("SignerName"),
        shown("Requestor"),
        shown("RequestedDuration"),
        shown("Condition"),
    ],
    reads: Keep::All,
    cells: |object| {
        let seconds = number(object, "/spec/expirationSeconds");
        let seconds = seconds.map_or_else(|| "<none>".to_owned(), human);
        let signer = match text(object, "/spec/signerName") {
            "" => "<none>",
            own => own,
        };
        vec![
            meta(object, "name").into(),
            age(object),
            signer.into(),
            text(object, "/spec/username").into(),
            seconds.into(),
            condition(object).into(),
        ]
    },
};

/// `Approved,Issued`, or `Pending` where nothing was said.
fn condition(object: &Value) -> String {
    let has = |kind: &str| {
        list(object, "/status/conditions").iter().any(|one| text(one, "/type") == kind)
    };
    // Who denies has the last word.
    let mut says = if has("Denied") {
        vec!["Denied"]
    } else if has("Approved") {
        vec!["Approved"]
    } else {
        vec!["Pending"]
    };
    if has("Failed") {
        says.push("Failed");
    }
    if !text(object, "/status/certificate").is_empty() {
        says.push("Issued");
    }
    says.join(",")
}
