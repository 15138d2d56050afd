//! `moat explain FROM TO:PORT`.

use crate::args::{Explain, ExplainOutput};
use crate::exit::{Ended, Failure, Outcome};
use crate::world::World;
use moat_analyze::explain::{Question, explain};
use moat_analyze::query::{Names, Target, destination};
use moat_ir::Verdict;

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
    let explanation = explain(&names, &question)?;
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
    Ok(if explanation.verdict == Verdict::Allowed { Ended::Yes } else { Ended::No })
}
