//! Recorded ends found again in other policies' inventory, and what those policies say.

use super::{Recorded, Told};
use crate::record::{End, Name};
use crate::text::Look;
use crate::why::Why;
use moat_ir::{
    Answer, Bound, Direction, End as IrEnd, Exemption, Flow, HalfReason, PodIdx, Verdict,
};
use moat_sets::{Family, Protocol, ServicePoint};
use rustc_hash::FxHashMap;

/// Looks recorded ends up.
pub(super) struct Ends<'b> {
    bound: &'b Bound,
    by_name: FxHashMap<&'b str, PodIdx>,
}

/// What other policies say of a flow.
pub(super) struct Decided {
    pub(super) answer: Answer,
    /// What was assumed about its ends.
    pub(super) notes: Vec<String>,
}

impl<'b> Ends<'b> {
    pub(super) fn new(bound: &'b Bound) -> Self {
        let by_name = bound.pods.iter().zip(0..).map(|(pod, idx)| (pod.display.as_ref(), idx));
        Self { bound, by_name: by_name.collect() }
    }

    /// What the policies say, or why they say nothing.
    pub(super) fn decide(&self, flow: &Recorded) -> Result<Decided, String> {
        let mut notes = Vec::new();
        let from = self.end(&flow.source, &mut notes)?;
        let to = self.end(&flow.destination, &mut notes)?;
        let protocol = Protocol::of_number(flow.protocol_number);
        let port = match (protocol, flow.destination.port) {
            (Protocol::Other, _) => 0,
            (_, Some(port)) => port,
            (_, None) => return Err(format!("the log has no {protocol} port of it")),
        };
        let family = Family::of(flow.destination.address);
        let point = ServicePoint::new(protocol, port);
        Ok(Decided { answer: self.bound.decide(&Flow { from, to, point, family }), notes })
    }

    fn end(&self, end: &End, notes: &mut Vec<String>) -> Result<IrEnd, String> {
        let by_address = self.bound.pod_by_address.get(&end.address).copied();
        let Name::Pod(name) = &end.name else {
            return Ok(by_address.map_or(IrEnd::Address(end.address), IrEnd::Pod));
        };
        if let Some(&pod) = self.by_name.get(name.as_ref()) {
            return Ok(IrEnd::Pod(pod));
        }
        let Some(pod) = by_address else { return Err(format!("{name} is not there any more")) };
        let other = self.bound.pod(pod);
        // Addresses are given anew; in another namespace it is certainly not the same workload.
        let is_near = name.split_once('/').is_some_and(|(own, _)| own == other.namespace.as_ref());
        let now = format!("{name} is not there any more; {} has its address now", other.display);
        if is_near {
            notes.push(format!("{now} and was asked about instead"));
            Ok(IrEnd::Pod(pod))
        } else {
            Err(now)
        }
    }
}

/// An answer in words: of a flow that passes both directions, of another one those that do not pass.
pub(super) fn told(bound: &Bound, answer: &Answer) -> Told {
    let mut reasons = Vec::new();
    for (direction, half) in
        [(Direction::Egress, &answer.egress), (Direction::Ingress, &answer.ingress)]
    {
        if answer.verdict == Verdict::Denied && half.verdict != Verdict::Denied {
            continue;
        }
        if answer.verdict == Verdict::Undefined && half.verdict == Verdict::Allowed {
            continue;
        }
        let plain = Look::plain(0);
        let words = match &half.reason {
            HalfReason::Unmanaged => continue,
            HalfReason::Exempt(Exemption::SamePod) => "a pod always reaches itself".to_owned(),
            HalfReason::Exempt(Exemption::OwnNode) => {
                "a node always reaches its own pods".to_owned()
            }
            HalfReason::Default => Why::Default.words(plain),
            HalfReason::Rules(rules) => {
                Why::rules(bound, rules.iter().map(|rule| rule.clause)).words(plain)
            }
            HalfReason::Isolated(policies) => Why::isolated(bound, policies).words(plain),
        };
        let doubts = if half.doubts.is_empty() {
            String::new()
        } else {
            let doubts = Why::rules(bound, half.doubts.iter().copied()).words(plain);
            format!("; it is not certain whether this matches: {doubts}")
        };
        reasons.push(format!("{direction}: {words}{doubts}"));
    }
    if answer.maybe_own_node {
        reasons
            .push("a node always reaches its own pods, and the pod's node is not known".to_owned());
    }
    Told { verdict: answer.verdict, reasons }
}
