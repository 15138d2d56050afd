//! `moat explain FROM TO:PORT`.

use crate::args::{Explain, ExplainOutput};
use crate::exit::{Ended, Failure, Outcome};
use crate::world::{World, dialect};
use moat_analyze::explain::{Elsewhere, Question, explain, verdict};
use moat_analyze::query::{Names, Target, destination};
use moat_compile::Dialect;
use moat_ir::Verdict;
use rayon::prelude::*;

pub(crate) fn run(args: &Explain) -> Outcome {
    if args.output == ExplainOutput::Jsonl {
        return Err(Failure::with_help("-o jsonl is for --flows", "use -o json for one question"));
    }
    let (from, to) =
        (args.from.as_deref().unwrap_or_default(), args.to.as_deref().unwrap_or_default());
    let (to, port, protocol) = destination(to)?;
    let world = World::read(&args.common)?;
    let services = world.services();
    let names = Names::new(&world.bound, &services, &args.common.namespace);
    let question = Question { from: from.to_owned(), to: to.to_owned(), port, protocol };
    let mut explanation =
        explain(&names, &question, &|change| world.changed(change, args.common.dialect))?;
    explanation.elsewhere = elsewhere(&world, args, &question, explanation.verdict);
    let mut namespaces: Vec<String> = Vec::new();
    for text in [from, to] {
        match names.target(text)? {
            Target::Pods(pods) => namespaces
                .extend(pods.iter().map(|&pod| world.bound.pod(pod).namespace.to_string())),
            Target::Service(idx) => {
                namespaces.extend(services.get(idx).map(|service| service.namespace.to_string()));
            }
            _ => {}
        }
    }
    namespaces.dedup();
    let namespaces: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    let caveats = world.caveats(&namespaces);
    let text = match args.output {
        ExplainOutput::Text | ExplainOutput::Jsonl => {
            moat_report::explain::render(&world.bound, &explanation, &caveats, crate::out::style())
        }
        ExplainOutput::Json => {
            format!(
                "{:#}\n",
                moat_report::explain::explanation(&world.bound, &explanation, &caveats)
            )
        }
        ExplainOutput::Yaml => moat_report::yaml::render(&moat_report::explain::explanation(
            &world.bound,
            &explanation,
            &caveats,
        )),
    };
    crate::out::print(&text)?;
    world.ended(if explanation.verdict == Verdict::Allowed { Ended::Yes } else { Ended::No })
}

/// What other dialects say, when it is something else, and for which of Kubernetes' open choices.
fn elsewhere(
    world: &World,
    args: &Explain,
    question: &Question,
    own: Verdict,
) -> Option<Elsewhere> {
    let by = |dialect: Dialect| {
        let bound = world.bound_by(dialect);
        let services = moat_compile::services(&world.lowered.inventory, &bound);
        let names = Names::new(&bound, &services, &args.common.namespace);
        // What can be asked here can be asked there.
        verdict(&names, question).unwrap_or(own)
    };
    let here = dialect(args.common.dialect);
    let others: Vec<Dialect> =
        Dialect::ALL.into_iter().filter(|other| other.name != here.name).collect();
    let there: Vec<Verdict> = others
        .par_iter()
        .map(|&other| if here.steps_to(other).is_empty() { own } else { by(other) })
        .collect();
    let mut verdicts = vec![(here.name, own)];
    let mut because = Vec::new();
    for (&other, there) in others.iter().zip(there) {
        verdicts.push((other.name, there));
        if there != own {
            because.extend(
                here.steps_to(other)
                    .into_iter()
                    .filter(|&(_, step)| by(step) != own)
                    .filter_map(|(idx, _)| Dialect::CHOICES.get(idx))
                    .map(|choice| choice.question),
            );
        }
    }
    because.sort_unstable();
    because.dedup();
    let differ = verdicts.iter().any(|(_, verdict)| *verdict != own);
    differ.then_some(Elsewhere { verdicts, because })
}
