//! A stable text dump, for tests and for people who ask what was compiled.

use crate::bound::{AtomKind, Bound, Management, Then, Why};
use crate::symbolic::Direction;
use core::fmt::Write as _;

impl Bound {
    /// The compiled form as text: classes with their pods, then each program with its clauses. The same input gives the same text.
    #[must_use]
    pub fn dump(&self) -> String {
        let mut out = String::new();
        for (idx, class) in self.classes.iter().enumerate() {
            let pods: Vec<&str> =
                class.pods.iter().map(|&pod| self.pod(pod).display.as_ref()).collect();
            let _ = write!(out, "class {idx}: {}", pods.join(" "));
            match class.management {
                Management::Managed => {
                    let [ingress, egress] = class.programs;
                    let _ = writeln!(out, " (ingress program {ingress}, egress program {egress})");
                }
                Management::Unmanaged => out.push_str(" (unmanaged)\n"),
                Management::Undefined => out.push_str(" (undefined)\n"),
            }
        }
        for (idx, program) in self.programs.iter().enumerate() {
            let _ = writeln!(out, "program {idx}: {}", program.direction);
            for stage in &program.stages {
                let _ = writeln!(out, "  {:?}", stage.kind);
                for clause in &stage.clauses {
                    let then = match clause.then {
                        Then::Allow => "allow",
                        Then::Deny => "deny",
                        Then::Pass => "pass",
                    };
                    let why = match &clause.why {
                        Why::Rule(idx) => {
                            let rule = self.symbolic.rule(self.symbolic.clause(*idx).rule);
                            format!(
                                "{} {}[{}]",
                                self.symbolic.policy(rule.policy),
                                rule.direction,
                                rule.index
                            )
                        }
                        Why::Isolated(policies) => {
                            let names: Vec<String> = policies
                                .iter()
                                .map(|&idx| self.symbolic.policy(idx).to_string())
                                .collect();
                            format!("isolated by {}", names.join(", "))
                        }
                        Why::Default => "default".to_owned(),
                    };
                    let set = self.peers(clause.peers);
                    let _ = writeln!(
                        out,
                        "    {then} {} {} by {why}",
                        self.peers_text(&set.must),
                        clause.ports
                    );
                    if !set.may.is_empty() {
                        let _ = writeln!(out, "      perhaps {}", self.peers_text(&set.may));
                    }
                }
            }
        }
        out
    }

    fn peers_text(&self, atoms: &moat_sets::IdSet) -> String {
        if atoms.len() == u64::from(self.atoms.len()) {
            return "everyone".to_owned();
        }
        let mut parts = Vec::new();
        let addresses = self.atoms.addresses(atoms);
        if !addresses.is_empty() {
            parts.push(addresses.to_string());
        }
        for atom in atoms.iter().filter(|&atom| atom >= self.atoms.n_addresses()) {
            match self.atoms.get(atom) {
                Some(AtomKind::Domain(domain)) => parts.push(domain.to_string()),
                Some(AtomKind::Pods { class, family }) => {
                    parts.push(format!("class {class} {family}"));
                }
                _ => {}
            }
        }
        format!("{{{}}}", parts.join(", "))
    }

    /// How many programs there are for a direction.
    #[must_use]
    pub fn n_programs(&self, direction: Direction) -> usize {
        self.programs.iter().filter(|program| program.direction == direction).count()
    }
}
