//! Engines by name: what answers flows about a world.

use crate::Json;
use crate::engine::Engine;
use crate::point::{End, Flow, Half, Outcome, Reason};
use moat_ir::Verdict;
use moat_sets::{Family, Protocol};

/// Something that answers flows about the world it was made from.
pub trait Subject {
    /// Its name, as `MOAT_SUBJECT` gives it.
    fn name(&self) -> &'static str;

    /// The answer; `None` when an end is not part of its world.
    fn decide(&self, flow: &Flow) -> Option<Outcome>;
}

/// The subject of a name over wire objects.
#[must_use]
pub fn named(name: &str, objects: &[Json]) -> Box<dyn Subject> {
    match name {
        "decide" => Box::new(Engine::new(objects)),
        "spec" => Box::new(Spec::new(objects)),
        _ => panic!("MOAT_SUBJECT={name}: subjects are `decide` and `spec`"),
    }
}

/// The naive reference.
#[derive(Debug)]
pub struct Spec {
    world: moat_spec::World,
}

impl Spec {
    /// The reference over wire objects.
    #[must_use]
    pub fn new(objects: &[Json]) -> Self {
        Self { world: moat_spec::World { objects: objects.to_vec() } }
    }

    fn end(end: &End) -> moat_spec::End {
        match end {
            End::Pod { namespace, name } => {
                moat_spec::End::Pod { namespace: namespace.clone(), name: name.clone() }
            }
            End::Address(address) => moat_spec::End::Address(*address),
            End::Domain(name) => moat_spec::End::Domain(name.clone()),
        }
    }

    fn half(half: moat_spec::Half) -> Half {
        let reason = match half.reason {
            moat_spec::Reason::Unmanaged => Reason::Unmanaged,
            moat_spec::Reason::Exempt(why) => Reason::Exempt(why),
            moat_spec::Reason::Rules(rules) => Reason::Rules(rules.into_iter().collect()),
            moat_spec::Reason::Isolated(policies) => {
                Reason::Isolated(policies.into_iter().collect())
            }
            moat_spec::Reason::Default => Reason::Default,
        };
        Half { verdict: verdict(&half.verdict), reason }
    }
}

fn verdict(verdict: &moat_spec::Verdict) -> Verdict {
    match verdict {
        moat_spec::Verdict::Allowed => Verdict::Allowed,
        moat_spec::Verdict::Denied => Verdict::Denied,
    }
}

impl Subject for Spec {
    fn name(&self) -> &'static str {
        "spec"
    }

    fn decide(&self, flow: &Flow) -> Option<Outcome> {
        let family = match flow.family {
            Family::V4 => moat_spec::Family::V4,
            Family::V6 => moat_spec::Family::V6,
        };
        let protocol = if flow.protocol == Protocol::Other { "ICMP" } else { flow.protocol.name() };
        let (from, to) = (Self::end(&flow.from), Self::end(&flow.to));
        let asked =
            moat_spec::Flow { from, to, protocol: protocol.to_owned(), port: flow.port, family };
        let answer = moat_spec::decide(&self.world, &asked);
        Some(Outcome {
            verdict: verdict(&answer.verdict),
            egress: Self::half(answer.egress),
            ingress: Self::half(answer.ingress),
            maybe_own_node: false,
        })
    }
}
