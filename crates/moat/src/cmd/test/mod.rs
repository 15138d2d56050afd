//! `moat test SPEC... -f DIR`: policy unit tests.

mod live;
mod mutate;
mod spec;

use crate::args::{Test as Args, TestOutput};
use crate::exit::{Ended, Failure, Outcome};
use crate::out::Progress;
use crate::world::{World, inputs, texts};
use moat_analyze::check::{CheckError, Recorder, run as run_test};
use moat_analyze::query::Names;
use moat_load::Source;
use moat_model::{Diagnostic, Pos, SourceId, Span, codes};
use moat_report::check::{Report, junit, render, value};
use moat_report::diagnostics::problems;

pub(crate) fn run(args: &Args) -> Outcome {
    if args.specs.iter().any(|spec| spec == "-") && args.common.files.iter().any(|file| file == "-")
    {
        return Err(Failure::with_help(
            "standard input cannot be both tests and manifests",
            "put one of them into a file",
        ));
    }
    if args.live {
        // Before the process has a second thread: the kernel refuses it after.
        super::verify::sandbox()?;
    }
    let files = moat_load::load(&inputs(&args.specs));
    let mut findings = files.diagnostics.clone();
    let tests = spec::tests(&files.documents, &mut findings);
    refuse(&findings, &files.sources)?;
    if tests.is_empty() {
        return Err(Failure::with_help(
            "the test files hold no test",
            "write a list under `tests:`; `moat test --help` shows one",
        ));
    }
    let mut world = World::read(&args.common)?.complete()?;
    let placed = args.live.then(|| live::place(&mut world));
    let services = world.services();
    let names = Names::new(&world.bound, &services, &args.common.namespace);
    let progress = Progress::new("testing");
    let mut recorder = Recorder::new(&world.symbolic);
    if args.live {
        recorder = recorder.keeping();
    }
    let mut failures = Vec::with_capacity(tests.len());
    let mut errors: Vec<Diagnostic> = Vec::new();
    for test in &tests {
        match run_test(&names, test, &mut recorder) {
            Ok(found) => failures.push(found),
            Err(error) => errors.push(finding(error)),
        }
    }
    refuse(&errors, &files.sources)?;
    let passed = failures.iter().all(Vec::is_empty);
    if args.mutate && !passed {
        crate::out::remark(
            "--mutate waits until all tests pass: a failing test notices everything",
        );
    }
    let mutation =
        (args.mutate && passed).then(|| mutate::mutation(&world, &tests, &recorder, &args.common));
    drop(progress);
    let file_names: Vec<String> = files.sources.iter().map(|source| source.name.clone()).collect();
    let caveats = world.all_caveats();
    let report = Report {
        bound: &world.bound,
        tests: &tests,
        failures: &failures,
        recorder: &recorder,
        files: &file_names,
        mutation: mutation.as_ref(),
        caveats: &caveats,
    };
    crate::out::print(&match args.output {
        TestOutput::Text => render(&report, crate::out::style()),
        TestOutput::Json => format!("{:#}\n", value(&report)),
        TestOutput::Yaml => moat_report::yaml::render(&value(&report)),
        TestOutput::Junit => junit(&report),
    })?;
    let proven = match placed {
        Some(placed) => live::prove(placed, &recorder.asked(), args.output)?,
        None => true,
    };
    let complete = mutation.as_ref().is_none_or(|mutation| mutation.n_survivors() == 0);
    Ok(if passed && complete && proven { Ended::Yes } else { Ended::No })
}

/// Ends the command when the tests themselves are wrong.
fn refuse(findings: &[Diagnostic], sources: &[Source]) -> Result<(), Failure> {
    if findings.is_empty() {
        return Ok(());
    }
    let sources = texts(sources);
    Err(Failure::Told(problems(findings, sources.as_slice(), crate::out::error_style())))
}

fn finding(error: CheckError) -> Diagnostic {
    let place = error.place;
    let span = Span {
        source: SourceId(place.source),
        pos: Pos { line: place.line, column: place.column },
    };
    let finding = Diagnostic::error(codes::INVALID, span, error.message);
    match error.help {
        Some(help) => finding.help(help),
        None => finding,
    }
}
