//! `moat diff OLD NEW`: what a change of manifests opens and closes.

use crate::args::{Common, DataOutput, Diff};
use crate::exit::{Ended, Failure, Outcome};
use crate::out::Progress;
use crate::world::World;
use moat_load::Input;
use moat_model::Severity;
use moat_report::yaml;
use std::path::{Path, PathBuf};

pub(crate) fn run(args: &Diff) -> Outcome {
    if !args.common.files.is_empty() {
        return Err(Failure::with_help(
            "diff takes no -f",
            "name the two states: moat diff OLD NEW",
        ));
    }
    let old = side(&args.old, &args.common)?;
    let new = side(&args.new, &args.common)?;
    let progress = Progress::new("comparing");
    let diff = moat_analyze::diff::diff(&old.bound, &new.bound);
    drop(progress);
    let value = || moat_report::diff::value(&old.bound, &new.bound, &diff);
    let text = match args.output {
        DataOutput::Text => {
            moat_report::diff::render(&old.bound, &new.bound, &diff, crate::out::style())
        }
        DataOutput::Json => format!("{:#}\n", value()),
        DataOutput::Yaml => yaml::render(&value()),
    };
    crate::out::print(&text)?;
    for (name, world) in [(&args.old, &old), (&args.new, &new)] {
        let taints = world.lowered.inventory.taints.len();
        if taints > 0 {
            crate::out::remark(&format!(
                "caveat: {taints} things in `{name}` were not read or not interpreted and could change this; `moat lint` shows them"
            ));
        }
    }
    Ok(if diff.is_equal() { Ended::Yes } else { Ended::No })
}

/// Reads one state. An existing path wins over a revision of the same name, which can still be written with a `:`.
fn side(text: &str, common: &Common) -> Result<World, Failure> {
    let input = if text == "-" {
        Input::Stdin
    } else if Path::new(text).exists() {
        Input::Path(PathBuf::from(text))
    } else {
        let (rev, path) =
            text.split_once(':').map_or((text, None), |(rev, path)| (rev, Some(path)));
        let path = path.filter(|path| !path.is_empty()).map(str::to_owned);
        if rev.is_empty() {
            return Err(unreadable(text, None));
        }
        Input::Git { rev: rev.to_owned(), path }
    };
    let git = matches!(input, Input::Git { .. });
    let world = World::from_inputs(&[input], common).map_err(|failure| match failure {
        Failure::Input { message, .. } if git => unreadable(text, Some(&message)),
        other => other,
    })?;
    // A state of which a part cannot be read compares as if that part were gone; that is no answer.
    let unread =
        world.loaded.diagnostics.iter().find(|finding| finding.severity == Severity::Error);
    if let Some(finding) = unread {
        return Err(Failure::Input {
            message: format!("{}: {}", world.place(finding.span), finding.message),
            help: finding.help.clone(),
        });
    }
    Ok(world)
}

fn unreadable(text: &str, why: Option<&str>) -> Failure {
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    Failure::with_help(
        format!("`{text}` is no file, no directory and no readable git revision{why}"),
        "write a path, or a revision with a path in it: main:k8s",
    )
}
