//! From sources to a bound form: the way every command begins.

use crate::args::{Common, DialectName};
use crate::exit::Failure;
use crate::out::Progress;
use moat_compile::{bind, compile};
use moat_ir::{Bound, Change, ServiceInfo, SymbolicIr};
use moat_load::{Input, Loaded, load};
use moat_model::{Diagnostic, Lowered, Options, Severity, TaintScope, lower};
use moat_sets::Cidr;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;

/// Everything read and compiled.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) loaded: Loaded,
    pub(crate) lowered: Lowered,
    pub(crate) symbolic: Arc<SymbolicIr>,
    pub(crate) bound: Bound,
}

/// The inputs that `-f` names.
pub(crate) fn inputs(files: &[String]) -> Vec<Input> {
    files
        .iter()
        .map(|file| if file == "-" { Input::Stdin } else { Input::Path(PathBuf::from(file)) })
        .collect()
}

impl World {
    /// Reads what `-f` names.
    pub(crate) fn read(common: &Common) -> Result<Self, Failure> {
        if common.files.is_empty() {
            return Err(Failure::with_help(
                "nothing to read",
                "give manifests with -f FILE, -f DIR or -f - (standard input)",
            ));
        }
        let world = Self::from_inputs(&inputs(&common.files), common)?;
        world.tell();
        Ok(world)
    }

    /// Reads inputs of which at least something must be readable.
    pub(crate) fn from_inputs(inputs: &[Input], common: &Common) -> Result<Self, Failure> {
        let world = Self::load(inputs, common)?;
        let unreadable = |finding: &&Diagnostic| finding.severity == Severity::Error;
        match world.loaded.diagnostics.iter().find(unreadable) {
            Some(finding) if world.loaded.documents.is_empty() => Err(Failure::Input {
                message: place_message(&world.loaded, finding),
                help: finding.help.clone(),
            }),
            _ => Ok(world),
        }
    }

    /// Reads inputs, whatever they hold.
    pub(crate) fn load(inputs: &[Input], common: &Common) -> Result<Self, Failure> {
        let mut pod_cidrs = Vec::new();
        for text in &common.pod_cidr {
            let cidr = Cidr::parse(text).map_err(|reason| {
                Failure::with_help(
                    format!("--pod-cidr `{text}`: {reason}"),
                    "write it as 10.244.0.0/16",
                )
            })?;
            pod_cidrs.push(cidr);
        }
        if inputs.contains(&Input::Stdin) && std::io::stdin().is_terminal() {
            crate::out::remark("reading manifests from the keyboard; Ctrl-D ends them");
        }
        let _progress = Progress::new("reading and compiling");
        let loaded = load(inputs);
        let options = Options { namespace: common.namespace.as_str().into(), pod_cidrs };
        let documents = loaded.documents.iter().map(|document| (document.source, &document.value));
        let lowered = lower(documents, &loaded.diagnostics, &options);
        let sources: Vec<Arc<str>> =
            loaded.sources.iter().map(|source| source.name.as_str().into()).collect();
        let symbolic = Arc::new(compile(&lowered.policies, &sources));
        let bound = bind(symbolic.clone(), &lowered.inventory, dialect(common.dialect));
        Ok(Self { loaded, lowered, symbolic, bound })
    }

    /// The same by another dialect.
    pub(crate) fn bound_by(&self, dialect: moat_compile::Dialect) -> Bound {
        bind(self.symbolic.clone(), &self.lowered.inventory, dialect)
    }

    /// What the bound form would be after a change.
    pub(crate) fn changed(&self, change: &Change, name: DialectName) -> Bound {
        let Lowered { policies, inventory, .. } = &self.lowered;
        moat_compile::changed(&self.bound, policies, inventory, dialect(name), change)
    }

    /// The Services.
    pub(crate) fn services(&self) -> Vec<ServiceInfo> {
        moat_compile::services(&self.lowered.inventory, &self.bound)
    }

    /// Every finding, the loader's first.
    pub(crate) fn findings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.loaded.diagnostics.iter().chain(&self.lowered.diagnostics)
    }

    /// What was not read and could change verdicts about these namespaces.
    pub(crate) fn caveats(&self, namespaces: &[&str]) -> Vec<String> {
        let touches = |scope: &TaintScope| match scope {
            TaintScope::Everything => true,
            TaintScope::Namespace(name) => namespaces.contains(&name.as_ref()),
        };
        let taints = self.lowered.inventory.taints.iter().filter(|taint| touches(&taint.scope));
        taints
            .map(|taint| {
                format!("{} could change this verdict: {}", self.place(taint.span), taint.what)
            })
            .collect()
    }

    /// Everything that was not read and could change a verdict.
    pub(crate) fn all_caveats(&self) -> Vec<String> {
        let taints = self.lowered.inventory.taints.iter();
        taints
            .map(|taint| {
                format!("{} could change verdicts: {}", self.place(taint.span), taint.what)
            })
            .collect()
    }

    /// `file:line` of a span.
    pub(crate) fn place(&self, span: moat_model::Span) -> String {
        place(&self.loaded, span)
    }

    /// Says on standard error, in a line each, what is wrong with the input.
    fn tell(&self) {
        /// Findings told one by one; `moat lint` has them all.
        const TOLD_MAX: usize = 5;
        let style = crate::out::error_style();
        let worth: Vec<&Diagnostic> =
            self.findings().filter(|finding| finding.severity != Severity::Note).collect();
        for finding in worth.iter().take(TOLD_MAX) {
            let word = match finding.severity {
                Severity::Error => style.bad("error"),
                _ => style.doubt("warning"),
            };
            let path =
                if finding.path.is_empty() { String::new() } else { format!(" {}:", finding.path) };
            crate::out::remark(&format!(
                "{word}[{}] {}:{path} {}",
                finding.code,
                self.place(finding.span),
                finding.message
            ));
        }
        if worth.len() > TOLD_MAX {
            crate::out::remark(&format!(
                "… {} more findings; `moat lint` shows all, with help",
                worth.len() - TOLD_MAX
            ));
        }
    }
}

fn place(loaded: &Loaded, span: moat_model::Span) -> String {
    let name =
        loaded.sources.get(span.source.0 as usize).map_or("?", |source| source.name.as_str());
    if span.pos.line > 0 { format!("{name}:{}", span.pos.line) } else { name.to_owned() }
}

fn place_message(loaded: &Loaded, finding: &Diagnostic) -> String {
    if finding.span.pos.line > 0 {
        format!("{}: {}", place(loaded, finding.span), finding.message)
    } else {
        finding.message.clone()
    }
}

/// The dialect of a name.
pub(crate) fn dialect(name: DialectName) -> moat_compile::Dialect {
    match name {
        DialectName::Moat => moat_compile::Dialect::MOAT,
        DialectName::Spec => moat_compile::Dialect::SPEC,
        DialectName::Calico => moat_compile::Dialect::CALICO,
        DialectName::Cilium => moat_compile::Dialect::CILIUM,
    }
}
