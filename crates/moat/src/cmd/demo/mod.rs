//! `moat demo`: the main job on a small built-in world, with real packets.

mod stage;

use crate::args::{Common, Demo, DialectName};
use crate::exit::{Ended, Failure, Outcome};
use crate::out::{print, style};
use crate::world::World;
use core::fmt::Write as _;
use moat_analyze::explain::{Explanation, Question, explain, halves};
use moat_analyze::query::{Names, Port};
use moat_ir::{HalfReason, Verdict};
use moat_load::Input;
use moat_report::Style;
use moat_sets::Protocol;
use stage::{Seen, Stage};

const FILES: [(&str, &str); 5] = [
    ("demo/00-world.yaml", include_str!("../../../demo/00-world.yaml")),
    ("demo/10-allow-only-8080.yaml", include_str!("../../../demo/10-allow-only-8080.yaml")),
    (
        "demo/20-default-deny-ingress.yaml",
        include_str!("../../../demo/20-default-deny-ingress.yaml"),
    ),
    ("demo/30-allow-from-web1.yaml", include_str!("../../../demo/30-allow-from-web1.yaml")),
    (
        "demo/31-allow-nginx1-of-web1.yaml",
        include_str!("../../../demo/31-allow-nginx1-of-web1.yaml"),
    ),
];

/// What is asked after every step.
const QUESTIONS: [(&str, &str, u16); 7] = [
    ("default/curler", "default/multi-port-app", 8080),
    ("default/curler", "default/multi-port-app", 9090),
    ("default/curler", "default/svc/multi-port-app-service", 80),
    ("web1/other", "default/multi-port-app", 8080),
    ("web1/nginx1", "web2/nginx2", 80),
    ("web1/other", "web2/nginx2", 80),
    ("203.0.113.7", "web2/nginx2", 80),
];

/// The steps: what is said, and which files are applied by then.
const STEPS: [(&str, &str, &[usize]); 5] = [
    (
        "The network as Kubernetes gives it",
        "Every pod reaches every pod. `ports:` is documentation: 9090 is not declared, and answers.",
        &[0],
    ),
    (
        "Apply 10-allow-only-8080.yaml",
        "Now the application is isolated: port 8080 only, and only from its own namespace.",
        &[0, 1],
    ),
    (
        "Apply 20-default-deny-ingress.yaml",
        "`ingress: []` lets no one in. A pod's own node is the one exception.",
        &[0, 1, 2],
    ),
    (
        "Apply 30-allow-from-web1.yaml",
        "Meant for nginx1 alone. Two dashes under `from` are OR: the whole namespace web1 gets in.",
        &[0, 1, 2, 3],
    ),
    (
        "Replace it with 31-allow-nginx1-of-web1.yaml",
        "One dash less makes it AND. Nothing but nginx1 of web1 gets in.",
        &[0, 1, 2, 4],
    ),
];

pub(crate) fn run(args: &Demo) -> Outcome {
    if let Some(dir) = &args.write {
        return write(dir);
    }
    // Before the process has a second thread: the kernel refuses it after.
    let sandbox = if args.no_packets { None } else { Some(super::verify::sandbox()) };
    let style = style();
    let mut text = String::new();
    let stage = match &sandbox {
        Some(Ok(())) => Some(Stage::build(&world(&[0])?)?),
        Some(Err(_)) => {
            let word = style.bad("NO PACKET IS SENT:");
            let _ = writeln!(
                text,
                "{word} this machine does not let the demo make network namespaces.\nWhat follows is what the engine says alone.\n"
            );
            None
        }
        None => None,
    };
    if let Some(stage) = &stage {
        let _ = writeln!(text, "{}\n", style.dim(&stage.words()));
    }
    print(&text)?;
    told(stage, style)?;
    match sandbox {
        Some(Err(refused)) => Err(refused),
        _ => Ok(Ended::Yes),
    }
}

/// The steps, each printed as it is done.
fn told(mut stage: Option<Stage>, style: Style) -> Result<(), Failure> {
    let mut before: Vec<Verdict> = Vec::new();
    for (idx, (title, remark, files)) in STEPS.iter().enumerate() {
        let mut text = String::new();
        let world = world(files)?;
        let services = world.services();
        let names = Names::new(&world.bound, &services, "default");
        let _ = writeln!(text, "{}\n{remark}\n", style.bold(&format!("{}. {title}", idx + 1)));
        let mut answers = Vec::new();
        for (from, to, port) in &QUESTIONS {
            answers.push(ask(&world, &names, from, to, *port)?);
        }
        let applied = match &mut stage {
            Some(stage) => Some(stage.apply(&world)?),
            None => None,
        };
        let seen = match &stage {
            Some(stage) => Some(stage.probe(&answers)?),
            None => None,
        };
        for (at, (question, answer)) in QUESTIONS.iter().zip(&answers).enumerate() {
            let changed = before.get(at).is_some_and(|before| *before != answer.verdict);
            let seen = seen.as_ref().and_then(|seen| seen.get(at));
            row(&mut text, &world, *question, answer, (changed, seen), style);
        }
        if let Some(applied) = applied {
            let _ = writeln!(text, "\n{}", style.dim(&applied));
        }
        before = answers.iter().map(|answer| answer.verdict).collect();
        text.push('\n');
        print(&text)?;
    }
    let mut text = String::new();
    if let Some(stage) = &stage {
        let _ = writeln!(text, "{}\n", style.bold("What the kernel logged in the last step"));
        text.push_str(&stage.log(style));
        text.push('\n');
    }
    let _ = writeln!(text, "{}\n", style.bold("Why is web1/other kept out now?"));
    let world = world(&[0, 1, 2, 4])?;
    let services = world.services();
    let names = Names::new(&world.bound, &services, "default");
    let answer = ask(&world, &names, "web1/other", "web2/nginx2", 80)?;
    text.push_str(&moat_report::explain::render(&world.bound, &answer, &[], style));
    text.push_str(
        "\nTry it on your own manifests:\n  moat explain -f DIR FROM TO:PORT\n  moat reach -f DIR\n  moat verify -f DIR      real packets, as here\n  moat demo --write DIR   writes these files\n",
    );
    print(&text)
}

fn write(dir: &str) -> Outcome {
    let refuse =
        |error: std::io::Error| Failure::input(format!("cannot write into `{dir}`: {error}"));
    let dir = std::path::Path::new(dir);
    std::fs::create_dir_all(dir).map_err(refuse)?;
    // The last file is a variant of the one before it, so it is left for the reader to swap in.
    for (name, text) in FILES.iter().take(4) {
        let name = name.trim_start_matches("demo/");
        std::fs::write(dir.join(name), text).map_err(refuse)?;
    }
    print(&format!(
        "wrote 4 files into {0}\ntry: moat explain -f {0} web1/other web2/nginx2:80\n",
        dir.display()
    ))?;
    Ok(Ended::Yes)
}

fn world(files: &[usize]) -> Result<World, Failure> {
    let chosen = files.iter().filter_map(|&idx| FILES.get(idx));
    let inputs: Vec<Input> = chosen
        .map(|(name, text)| Input::Text { name: (*name).to_owned(), text: (*text).to_owned() })
        .collect();
    World::from_inputs(&inputs, &Common { namespace: "default".to_owned(), ..Common::default() })
}

fn ask(
    world: &World,
    names: &Names<'_>,
    from: &str,
    to: &str,
    port: u16,
) -> Result<Explanation, Failure> {
    let question = Question {
        from: from.to_owned(),
        to: to.to_owned(),
        port: Port::Number(port),
        protocol: Protocol::Tcp,
    };
    Ok(explain(names, &question, &|change| world.changed(change, DialectName::Moat))?)
}

/// One question with its answer and, in short, why.
fn row(
    text: &mut String,
    world: &World,
    (from, to, port): (&str, &str, u16),
    answer: &Explanation,
    (changed, seen): (bool, Option<&Seen>),
    style: Style,
) {
    let word = match answer.verdict {
        Verdict::Allowed => style.good("allowed"),
        Verdict::Denied => style.bad("denied "),
        Verdict::Undefined => style.doubt("undefined"),
    };
    let mark = if changed { style.bold("*") } else { " ".to_owned() };
    let _ = writeln!(
        text,
        " {mark} {word}  {}{:<56} {}",
        seen.map_or_else(String::new, |seen| seen.words(style)),
        format!("{from} -> {to}:{port}"),
        style.dim(&reason(world, answer))
    );
}

fn reason(world: &World, answer: &Explanation) -> String {
    let symbolic = &world.bound.symbolic;
    let Some(flow) = answer.flows.first() else { return String::new() };
    let denied =
        halves(&flow.answer).into_iter().find(|(_, half)| half.verdict != Verdict::Allowed);
    let decisive = denied.or_else(|| {
        halves(&flow.answer)
            .into_iter()
            .find(|(_, half)| matches!(half.reason, HalfReason::Rules(_)))
    });
    match decisive.map(|(direction, half)| (direction, &half.reason)) {
        Some((direction, HalfReason::Isolated(policies))) => {
            let policies: Vec<String> = policies
                .iter()
                .map(|&idx| {
                    format!(
                        "{} ({})",
                        symbolic.policy(idx),
                        symbolic.place(symbolic.policy(idx).origin)
                    )
                })
                .collect();
            format!("{direction} isolated by {}", policies.join(", "))
        }
        Some((direction, HalfReason::Rules(rules))) => {
            let rule = rules.first().map(|rule| symbolic.rule(symbolic.clause(rule.clause).rule));
            rule.map_or_else(String::new, |rule| {
                format!(
                    "{} {direction}[{}] ({})",
                    symbolic.policy(rule.policy),
                    rule.index,
                    symbolic.place(rule.origin)
                )
            })
        }
        _ => "no policy applies".to_owned(),
    }
}
