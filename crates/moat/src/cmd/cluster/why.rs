//! `moat explain pod NS/NAME`: why the scheduler of an embedded cluster puts a pod where it does, or nowhere.

use super::{root, running};
use crate::args::{Explain, ExplainOutput};
use crate::exit::{Ended, Failure, Outcome};
use crate::out::print;
use moat_cluster::control::{Ask, ask};
use moat_cluster::home::Home;

/// Whether the question is about a pod's place: `pod` is the name of no source, as those have a namespace or are addresses.
pub(crate) fn is_meant(args: &Explain) -> bool {
    args.from.as_deref() == Some("pod") && args.common.files.is_empty()
}

pub(crate) fn why(args: &Explain) -> Outcome {
    let text = args.to.as_deref().unwrap_or_default();
    let (namespace, name) = text.split_once('/').unwrap_or((&args.common.namespace, text));
    let home = only()?;
    let question = Ask::ExplainPod { namespace: namespace.to_owned(), name: name.to_owned() };
    let answer = ask(&home.socket(), &question).map_err(Failure::input)?;
    print(&match args.output {
        ExplainOutput::Text => answer["text"].as_str().unwrap_or_default().to_owned(),
        ExplainOutput::Json => format!("{:#}\n", answer["report"]),
        ExplainOutput::Yaml => moat_report::yaml::render(&answer["report"]),
        ExplainOutput::Jsonl => format!("{}\n", answer["report"]),
    })?;
    let fits = answer["report"]["nodes"]
        .as_array()
        .is_some_and(|nodes| nodes.iter().any(|node| node["total"].is_number()));
    Ok(if fits { Ended::Yes } else { Ended::No })
}

/// The one cluster that runs; where there are several, the one named `moat`.
fn only() -> Result<Home, Failure> {
    let mut homes: Vec<Home> = Home::all(&root()?).into_iter().filter(Home::is_running).collect();
    if homes.len() == 1 { homes.pop().map_or_else(|| running("moat"), Ok) } else { running("moat") }
}
