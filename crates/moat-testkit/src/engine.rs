//! The engine under test over wire objects, with the place where a planted bug may change each step's input.

use crate::Json;
use crate::bugs::Bug;
use crate::point::{End, Flow, Half, Outcome, Reason};
use crate::subject::Subject;
use moat_compile::Dialect;
use moat_ir::{Bound, HalfReason, PodIdx};
use moat_model::{Lowered, SourceId, Value};
use moat_sets::ServicePoint;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Lowers wire objects.
#[must_use]
pub fn lower(objects: &[Json]) -> Lowered {
    let values: Vec<Value> = objects.iter().map(Value::from).collect();
    moat_model::lower(
        values.iter().map(|value| (SourceId(0), value)),
        &[],
        &moat_model::Options::default(),
    )
}

/// Lowers, compiles and binds wire objects.
#[must_use]
pub fn bind(objects: &[Json], dialect: Dialect) -> Bound {
    bind_with(objects, dialect, None)
}

/// Like [`bind`], as it would be if the engine had a bug.
#[must_use]
pub fn bind_with(objects: &[Json], dialect: Dialect, bug: Option<Bug>) -> Bound {
    let wire = bug.map_or_else(|| objects.to_vec(), |bug| bug.wire(objects.to_vec()));
    let mut lowered = lower(&wire);
    if let Some(bug) = bug {
        bug.lowered(&mut lowered);
    }
    let mut symbolic = moat_compile::compile(&lowered.policies, &[]);
    if let Some(bug) = bug {
        bug.symbolic(&mut symbolic, &lowered.inventory);
    }
    let mut bound = moat_compile::bind(
        Arc::new(symbolic),
        &lowered.inventory,
        bug.map_or(dialect, |bug| bug.dialect(dialect)),
    );
    if let Some(bug) = bug {
        bug.bound(&mut bound);
    }
    bound
}

/// The engine as a subject.
#[derive(Debug)]
pub struct Engine {
    bound: Bound,
    pods: BTreeMap<String, PodIdx>,
}

impl Engine {
    /// The engine over wire objects, in its own dialect.
    #[must_use]
    pub fn new(objects: &[Json]) -> Self {
        Self::of(bind(objects, Dialect::MOAT))
    }

    /// The engine as it would be with a bug.
    #[must_use]
    pub fn with_bug(objects: &[Json], bug: Bug) -> Self {
        Self::of(bind_with(objects, Dialect::MOAT, Some(bug)))
    }

    /// The engine over a bound form.
    #[must_use]
    pub fn of(bound: Bound) -> Self {
        let pods =
            bound.pods.iter().zip(0..).map(|(pod, idx)| (pod.display.to_string(), idx)).collect();
        Self { bound, pods }
    }

    /// The bound form.
    #[must_use]
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    fn end(&self, end: &End) -> Option<moat_ir::End> {
        Some(match end {
            End::Pod { .. } => moat_ir::End::Pod(*self.pods.get(&end.to_string())?),
            End::Address(address) => moat_ir::End::Address(*address),
            End::Domain(name) => moat_ir::End::Domain(name.as_str().into()),
        })
    }

    fn half(&self, half: &moat_ir::Half) -> Half {
        let policy = |idx: u32| {
            let policy = self.bound.symbolic.policy(idx);
            let short = if policy.short == "netpol" { "np" } else { policy.short };
            format!("{short}/{}", policy.id())
        };
        let reason = match &half.reason {
            HalfReason::Unmanaged => Reason::Unmanaged,
            HalfReason::Exempt(moat_ir::Exemption::SamePod) => Reason::Exempt("self".to_owned()),
            HalfReason::Exempt(moat_ir::Exemption::OwnNode) => {
                Reason::Exempt("own-node".to_owned())
            }
            HalfReason::Rules(rules) => Reason::Rules(
                rules
                    .iter()
                    .filter(|matched| matched.certain)
                    .map(|matched| {
                        let rule = self
                            .bound
                            .symbolic
                            .rule(self.bound.symbolic.clause(matched.clause).rule);
                        (policy(rule.policy), rule.index as usize)
                    })
                    .collect(),
            ),
            HalfReason::Isolated(policies) => {
                Reason::Isolated(policies.iter().map(|&idx| policy(idx)).collect())
            }
            HalfReason::Default => Reason::Default,
        };
        Half { verdict: half.verdict, reason }
    }
}

impl Subject for Engine {
    fn name(&self) -> &'static str {
        "decide"
    }

    fn decide(&self, flow: &Flow) -> Option<Outcome> {
        let (from, to) = (self.end(&flow.from)?, self.end(&flow.to)?);
        let point = ServicePoint::new(flow.protocol, flow.port);
        let answer = self.bound.decide(&moat_ir::Flow { from, to, point, family: flow.family });
        Some(Outcome {
            verdict: answer.verdict,
            egress: self.half(&answer.egress),
            ingress: self.half(&answer.ingress),
            maybe_own_node: answer.maybe_own_node,
        })
    }
}
