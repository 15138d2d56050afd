//! One file a command.

mod cluster;
mod demo;
mod diff;
mod explain;
mod flows;
mod info;
mod lint;
mod reach;
mod recorded;
mod test;
mod verify;

use crate::args::{Args, Command};
use crate::exit::Outcome;

pub(crate) fn run(args: Args) -> Outcome {
    match args.command {
        Command::Explain(args) => match &args.flows {
            Some(flows) => flows::run(&args, flows),
            None if cluster::is_meant(&args) => cluster::why(&args),
            None => explain::run(&args),
        },
        Command::Demo(args) => demo::run(&args),
        Command::Reach(args) => reach::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Lint(args) => lint::run(&args),
        Command::Rule(args) => lint::rule(&args),
        Command::Dialects => info::dialects(),
        Command::Ir(args) => info::ir(&args),
        Command::Completions { shell } => info::completions(shell),
        Command::Man => info::man(),
        Command::Version => info::version(),
        Command::Test(args) => test::run(&args),
        Command::Flows(args) => recorded::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Up(args) => cluster::up(&args),
        Command::Down(args) => cluster::down(&args),
        Command::Status(args) => cluster::status(&args),
        Command::Reset(args) => cluster::reset(&args),
        Command::Token(args) => cluster::token(&args),
        Command::Join(args) => cluster::join(&args),
    }
}
