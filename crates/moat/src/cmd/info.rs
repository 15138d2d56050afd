//! Commands about Moat itself.

use crate::args::{Args, Ir};
use crate::exit::{Ended, Outcome};
use crate::out::print;
use crate::world::World;
use clap::CommandFactory as _;
use core::fmt::Write as _;
use moat_compile::Dialect;

pub(crate) fn version() -> Outcome {
    print(&format!("moat {}\n", env!("CARGO_PKG_VERSION")))?;
    Ok(Ended::Yes)
}

pub(crate) fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "moat", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Ended::Yes)
}

pub(crate) fn man() -> Outcome {
    let mut page = Vec::new();
    let command = Args::command();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for sub in
        command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
    {
        clap_mangen::Man::new(sub.clone().display_name(format!("moat-{}", sub.get_name())))
            .render(&mut page)?;
    }
    print(&String::from_utf8_lossy(&page))?;
    Ok(Ended::Yes)
}

pub(crate) fn dialects() -> Outcome {
    let mut text = String::from(
        "Kubernetes leaves these to the implementation. `--dialect` says whose choices count; `spec` answers `undefined`.\n",
    );
    for choice in Dialect::CHOICES {
        let _ = write!(
            text,
            "\n{}\n  text:   {}\n  moat:   {}\n  calico: {}\n  cilium: {}\n  source: {}\n",
            choice.question,
            choice.text,
            choice.moat,
            choice.calico,
            choice.cilium,
            choice.citation
        );
    }
    print(&text)?;
    Ok(Ended::Yes)
}

pub(crate) fn ir(args: &Ir) -> Outcome {
    print(&World::read(&args.common)?.bound.dump())?;
    Ok(Ended::Yes)
}
