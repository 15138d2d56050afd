//! One policy of the compiled form in the place of another, without the others being compiled again.

use crate::symbolic::{ClauseIdx, Direction, PolicyIdx, SymClause, SymPeer, SymPorts, SymbolicIr};

/// Part of a list that others took the place of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cut {
    /// Where it begins.
    pub start: u32,
    /// How many there were.
    pub n_old: u32,
    /// How many there are.
    pub n_new: u32,
}

impl Cut {
    /// Where what stays is now; `None` for what went.
    #[must_use]
    pub fn moved(&self, idx: u32) -> Option<u32> {
        if idx < self.start {
            Some(idx)
        } else if idx < self.start + self.n_old {
            None
        } else {
            Some(idx - self.n_old + self.n_new)
        }
    }

    /// Whether all that stays is where it was.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        self.n_old == self.n_new
    }

    /// What came.
    #[must_use]
    pub fn came(&self) -> core::ops::Range<u32> {
        self.start..self.start + self.n_new
    }

    /// What went, by its old numbers.
    #[must_use]
    pub fn went(&self) -> core::ops::Range<u32> {
        self.start..self.start + self.n_old
    }

    fn replace<T>(&self, all: &mut Vec<T>, new: impl IntoIterator<Item = T>) -> Vec<T> {
        let old = self.went();
        all.splice(old.start as usize..old.end as usize, new).collect()
    }
}

/// What one policy in the place of another, of none, or gone, did to the numbers of everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Splice {
    /// At most one of each.
    pub policies: Cut,
    /// Those of the policy.
    pub rules: Cut,
    /// Those of the policy.
    pub clauses: Cut,
    /// Clauses that the policy had and has still: the old number and the new one.
    pub kept: Vec<(ClauseIdx, ClauseIdx)>,
}

impl Splice {
    /// The number of a policy afterwards; `None` if it went.
    #[must_use]
    pub fn policy(&self, idx: PolicyIdx) -> Option<PolicyIdx> {
        let stays = self.policies.went().contains(&idx) && self.policies.is_in_place();
        if stays { Some(idx) } else { self.policies.moved(idx) }
    }

    /// The number of a clause afterwards; `None` if it went.
    #[must_use]
    pub fn clause(&self, idx: ClauseIdx) -> Option<ClauseIdx> {
        if !self.clauses.went().contains(&idx) {
            return self.clauses.moved(idx);
        }
        let kept = self.kept.iter().find(|(old, _)| *old == idx);
        kept.map(|&(_, new)| new)
    }
}

/// What a clause says and where it stands, but for clauses before it that never applied and may have come or gone.
type Said<'a> = (u32, Option<u32>, &'a SymPeer, &'a SymPorts);

fn said<'a>(form: &SymbolicIr, clause: &'a SymClause) -> Said<'a> {
    (form.rule(clause.rule).index, clause.peer_index, &clause.peer, &clause.ports)
}

fn alike<'a>(
    form: &'a SymbolicIr,
    policy: PolicyIdx,
    direction: Direction,
    wanted: Said<'a>,
) -> impl Iterator<Item = ClauseIdx> + 'a {
    let all = form.clauses_of(policy, direction);
    all.filter(move |(_, own)| said(form, own) == wanted).map(|(idx, _)| idx)
}

impl SymbolicIr {
    /// The clause of a policy in another form that says what a clause of this one says.
    #[must_use]
    pub fn same_clause(
        &self,
        idx: ClauseIdx,
        other: &Self,
        policy: PolicyIdx,
    ) -> Option<ClauseIdx> {
        let own = self.clause(idx);
        let rule = self.rule(own.rule);
        let wanted = said(self, own);
        let at = alike(self, rule.policy, rule.direction, wanted).position(|other| other == idx)?;
        alike(other, policy, rule.direction, wanted).nth(at)
    }

    /// Puts the policies of another form, at most one, in the place of the policy at `at`, or before it if none is to go.
    pub fn splice(&mut self, at: PolicyIdx, is_there: bool, mut new: Self) -> Splice {
        let end = at + u32::from(is_there);
        let begin = |idx: PolicyIdx| {
            let own = self.spans.get(idx as usize);
            own.map_or(len(&self.clauses), |[(start, _), _]| *start)
        };
        let (first, last) = (begin(at), begin(end));
        // Rules without peers have no clauses, so rules are found by themselves.
        let rule = |idx: PolicyIdx| index(self.rules.partition_point(|rule| rule.policy < idx));
        let (first_rule, last_rule) = (rule(at), rule(end));
        let cut = |start: u32, end: u32, n_new: u32| Cut { start, n_old: end - start, n_new };
        let mut splice = Splice {
            policies: cut(at, end, len(&new.policies)),
            rules: cut(first_rule, last_rule, len(&new.rules)),
            clauses: cut(first, last, len(&new.clauses)),
            kept: Vec::new(),
        };
        if is_there && !new.policies.is_empty() {
            let old = splice.clauses.went();
            let kept = old.filter_map(|idx| Some((idx, first + self.same_clause(idx, &new, 0)?)));
            splice.kept = kept.collect();
        }
        for rule in &mut new.rules {
            rule.policy += at;
        }
        for clause in &mut new.clauses {
            clause.rule += first_rule;
        }
        for (start, end) in new.spans.iter_mut().flatten() {
            (*start, *end) = (*start + first, *end + first);
        }
        splice.put(self, new);
        splice
    }
}

impl Splice {
    fn put(&self, form: &mut SymbolicIr, new: SymbolicIr) {
        let Self { policies, rules, clauses, .. } = self;
        policies.replace(&mut form.policies, new.policies);
        policies.replace(&mut form.spans, new.spans);
        rules.replace(&mut form.rules, new.rules);
        clauses.replace(&mut form.clauses, new.clauses);
        let after = |cut: &Cut| cut.came().end as usize;
        let shift = |cut: &Cut, idx: &mut u32| *idx = *idx - cut.n_old + cut.n_new;
        if !policies.is_in_place() {
            let later = form.rules.iter_mut().skip(after(rules));
            later.for_each(|rule| shift(policies, &mut rule.policy));
        }
        if !rules.is_in_place() {
            let later = form.clauses.iter_mut().skip(after(clauses));
            later.for_each(|clause| shift(rules, &mut clause.rule));
        }
        if !clauses.is_in_place() {
            let later = form.spans.iter_mut().skip(after(policies)).flatten();
            later.for_each(|(start, end)| {
                shift(clauses, start);
                shift(clauses, end);
            });
        }
    }
}

fn len<T>(all: &[T]) -> u32 {
    index(all.len())
}

fn index(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
