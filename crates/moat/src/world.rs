//! From sources to a bound form: the way every command begins.

use crate::args::{Common, DialectName};
use crate::exit::{Ended, Failure, Outcome};
use crate::out::Progress;
use moat_compile::{bind, compile};
use moat_ir::{Bound, Change, ServiceInfo, SymbolicIr};
use moat_load::{Input, Loaded, Source, load};
use moat_model::{Diagnostic, Lowered, Options, Severity, TaintScope, codes, lower};
use moat_report::diagnostics::problems;
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

/// Names and texts of sources, as reports want them.
pub(crate) fn texts(sources: &[Source]) -> Vec<(&str, &str)> {
    sources.iter().map(|source| (source.name.as_str(), source.text.as_ref())).collect()
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
        // What was named and cannot be read at all is a slip of the one who asks, whatever else can be read.
        let is_source = |finding: &Diagnostic| finding.code == codes::UNREADABLE_SOURCE;
        let unread: Vec<Diagnostic> = world
            .unread()
            .filter(|finding| world.loaded.documents.is_empty() || is_source(finding))
            .cloned()
            .collect();
        match unread.first() {
            None => Ok(world),
            // A revision is a word among others; whoever asked for it says what else it could have been.
            Some(first) if inputs.iter().all(|input| matches!(input, Input::Git { .. })) => {
                Err(Failure::Input { message: first.message.clone(), help: first.help.clone() })
            }
            Some(_) => Err(world.refusal(&unread)),
        }
    }

    /// The loader's errors: documents that were lost.
    fn unread(&self) -> impl Iterator<Item = &Diagnostic> {
        self.loaded.diagnostics.iter().filter(|finding| finding.severity == Severity::Error)
    }

    fn refusal(&self, findings: &[Diagnostic]) -> Failure {
        /// Errors told one by one.
        const TOLD_MAX: usize = 5;
        let told = findings.get(..TOLD_MAX).unwrap_or(findings);
        let sources = texts(&self.loaded.sources);
        let mut text = problems(told, sources.as_slice(), crate::out::error_style());
        if findings.len() > told.len() {
            text.push_str(&format!(
                "\n… {} more; `moat lint` shows all\n",
                findings.len() - told.len()
            ));
        }
        Failure::Told(text)
    }

    /// Refuses to go on when a document was lost: for answers that people trust without reading them.
    pub(crate) fn complete(self) -> Result<Self, Failure> {
        let unread: Vec<Diagnostic> = self.unread().cloned().collect();
        if unread.is_empty() { Ok(self) } else { Err(self.refusal(&unread)) }
    }

    /// How a command ends that gave its answer: as it would, or with an error when a document was lost that might change it.
    pub(crate) fn ended(&self, ended: Ended) -> Outcome {
        match self.unread().count() {
            0 => Ok(ended),
            n => {
                let documents =
                    if n == 1 { "1 document".to_owned() } else { format!("{n} documents") };
                Err(Failure::with_help(
                    format!("{documents} could not be read, and the answer is without them"),
                    "mend or leave them out; `moat lint` shows each with its line",
                ))
            }
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

    /// The names of all sources.
    pub(crate) fn sources(&self) -> Vec<Arc<str>> {
        self.symbolic.sources.clone()
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

/// The dialect of a name.
pub(crate) fn dialect(name: DialectName) -> moat_compile::Dialect {
    match name {
        DialectName::Moat => moat_compile::Dialect::MOAT,
        DialectName::Spec => moat_compile::Dialect::SPEC,
        DialectName::Calico => moat_compile::Dialect::CALICO,
        DialectName::Cilium => moat_compile::Dialect::CILIUM,
    }
}
