//! By which doors the outside world comes to a destination, and whose address its packets then have.

use super::Explanation;
use crate::query::Names;
use moat_ir::{End, ServiceInfo};

/// Doors told one by one.
const TOLD_MAX: usize = 3;

/// Notes the doors to what an address outside asks for.
pub(super) fn note(names: &Names<'_>, explanation: &mut Explanation) {
    let outside = explanation.flows.iter().any(|flow| matches!(flow.flow.from, End::Address(_)));
    if !outside {
        return;
    }
    let asked = explanation.service.as_ref().and_then(|step| names.services().get(step.service));
    if let Some(service) =
        asked.filter(|service| !service.external && service.external_name.is_none())
    {
        explanation.notes.push(format!(
            "{} has no address outside the cluster: only what runs on a node can use it, and this is the verdict on its pods",
            service.display()
        ));
    }
    let leads = |service: &&ServiceInfo| {
        service.ports.iter().any(|port| {
            explanation.flows.iter().any(|flow| {
                flow.flow.point.protocol == port.protocol
                    && port.backends.contains(&(flow.flow.to.clone(), flow.flow.point.port))
            })
        })
    };
    let mut doors: Vec<String> = Vec::new();
    for service in names.services().iter().filter(leads) {
        for door in &service.entrances {
            doors.push(format!(
                "{door} leads here: its controller's pods open these connections, and policies see them, not the client's address"
            ));
        }
        if service.external {
            doors.push(format!(
                "{} lets the outside in: policies see the client's address only where the node keeps it (externalTrafficPolicy: Local), else the node's",
                service.display()
            ));
        }
    }
    let more = doors.len().saturating_sub(TOLD_MAX);
    doors.truncate(TOLD_MAX);
    if more > 0 {
        doors.push(format!("{more} more ways in lead here"));
    }
    explanation.notes.extend(doors);
}
