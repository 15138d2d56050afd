//! `moat verify --keep`: the world stays up, follows its files, and answers what is typed.

use super::watched::Watched;
use super::{environment, report, words};
use crate::args::Verify as Args;
use crate::cmd::recorded::paint;
use crate::exit::Failure;
use crate::out::{print, remark, style};
use crate::world::{World, inputs};
use core::fmt::Write as _;
use moat_analyze::explain::{Question as Asked, explain};
use moat_analyze::query::{Names, Port};
use moat_flow::{Look, line};
use moat_ir::{End, Flow};
use moat_rig::live::Live;
use moat_rig::placed::Placed;
use moat_rig::recheck::Rechecked;
use moat_rig::verify::judge::{Judgement, Outcome};
use moat_rig::verify::questions::{Scope, of_flow};
use moat_rig::verify::run::ask;
use moat_sets::Protocol;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::MissedTickBehavior;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Steps of a transaction that are shown.
const SHOWN: usize = 12;

/// Runs until Ctrl-C.
pub(super) async fn keep(
    args: &Args,
    mut live: Live,
    mut watched: Watched,
    scope: &Scope,
) -> Result<(), Failure> {
    print(
        "\nThe world stays up. Save the files to apply a change, type FROM TO:PORT to send a packet, Ctrl-C to end.\n",
    )?;
    let mut stamp = stamps(&args.common.files);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut typing = true;
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return print("\n"),
            line = lines.next_line(), if typing => match line {
                Ok(Some(line)) => typed(args, &live, &mut watched, line.trim()).await?,
                _ => typing = false,
            },
            Some(logged) = watched.next() => watched.record(&logged)?,
            _ = look.tick() => {
                let now = stamps(&args.common.files);
                if now != stamp {
                    stamp = now;
                    changed(args, &mut live, &mut watched, scope).await?;
                }
            }
        }
    }
}

/// Applies the files as they are now; what cannot be read leaves the world as it is.
async fn changed(
    args: &Args,
    live: &mut Live,
    watched: &mut Watched,
    scope: &Scope,
) -> Result<(), Failure> {
    let world = match World::from_inputs(&inputs(&args.common.files), &args.common) {
        Ok(world) => match world.complete() {
            Ok(world) => world,
            Err(failure) => return tell(failure),
        },
        Err(failure) => return tell(failure),
    };
    let sources = world.sources();
    let placed = live.placed.again(world.lowered, &sources, usize::from(args.nodes), scope);
    if !placed.has_nodes_of(&live.placed) {
        remark(
            "nodes came or went, or have other addresses: end with Ctrl-C and start again to build them",
        );
        return Ok(());
    }
    let (came, went) = (names(&placed, &live.placed), names(&live.placed, &placed));
    let applied = live.apply(placed).await.map_err(environment)?;
    watched.follow(live);
    let checked = live.recheck().await.map_err(environment)?;
    live.tidy().await.map_err(environment)?;
    let mut text = String::from("\n");
    for (pods, what) in [(came, "came"), (went, "went")] {
        for pod in pods.iter().take(SHOWN) {
            let _ = writeln!(text, "pod {pod} {what}");
        }
        if pods.len() > SHOWN {
            let _ = writeln!(text, "… {} more pods {what}", pods.len() - SHOWN);
        }
    }
    for node in applied.iter().filter(|node| !node.ops.is_empty()) {
        let script = moat_nft::print::ops(&live.settings().table, &node.ops);
        let steps: Vec<&str> = script.lines().collect();
        let _ = writeln!(text, "{}: {} steps, {:.1?}", node.node, steps.len(), node.took);
        for step in steps.iter().take(SHOWN) {
            let _ = writeln!(text, "  {}", style().dim(step));
        }
        if steps.len() > SHOWN {
            let _ = writeln!(text, "  … {} more", steps.len() - SHOWN);
        }
    }
    for closed in applied.iter().flat_map(|node| &node.closed) {
        let _ = writeln!(text, "{} {closed}", style().bad("closed:"));
    }
    if applied.iter().all(|node| node.ops.is_empty()) {
        text.push_str("the change makes no difference to the kernel\n");
    }
    connections(&mut text, live, &checked);
    print(&text)?;
    let found = watched.probed(live, ask(live, scope), args).await?;
    print(&moat_report::verify::render(&report(live, &found), style()))
}

/// The pods that take part in a world and not in another.
fn names(these: &Placed, others: &Placed) -> Vec<Arc<str>> {
    let all = |placed: &Placed| -> BTreeSet<Arc<str>> {
        placed.pods.iter().map(|&idx| placed.bound.pod(idx).display.clone()).collect()
    };
    all(these).difference(&all(others)).cloned().collect()
}

fn connections(text: &mut String, live: &Live, checked: &Rechecked) {
    let name = |end: &End| match end {
        End::Pod(idx) => live.placed.bound.pod(*idx).display.to_string(),
        End::Address(address) => address.to_string(),
        End::Domain(name) => name.to_string(),
    };
    let named = |flow: &Flow| format!("{} -> {}:{}", name(&flow.from), name(&flow.to), flow.point);
    for (list, what) in [(&checked.cut, "cut"), (&checked.resumed, "let go on")] {
        for flow in list.iter().take(SHOWN) {
            let _ = writeln!(text, "open connection {}: {what}", named(flow));
        }
    }
}

/// Sends a packet as typed, and shows what became of it and what the kernel logged.
async fn typed(args: &Args, live: &Live, watched: &mut Watched, text: &str) -> Result<(), Failure> {
    if text.is_empty() {
        return Ok(());
    }
    let Some((from, rest)) = text.split_once(char::is_whitespace) else {
        remark("type who sends and to whom: shop/web shop/db:5432");
        return Ok(());
    };
    let (to, port) = match rest.trim().rsplit_once(':') {
        Some((to, port)) => (to, port),
        None => (rest.trim(), ""),
    };
    let (number, protocol) = port.split_once('/').unwrap_or((port, "TCP"));
    let (Ok(number), Some(protocol)) = (number.parse::<u16>(), Protocol::parse(protocol)) else {
        remark("give the port as a number: shop/web shop/db:5432 or shop/dns:53/UDP");
        return Ok(());
    };
    let bound = &live.placed.bound;
    let names = Names::new(bound, &live.placed.services, &args.common.namespace);
    let asked =
        Asked { from: from.to_owned(), to: to.to_owned(), port: Port::Number(number), protocol };
    let answer = match explain(&names, &asked, &|_| (**bound).clone()) {
        Ok(answer) => answer,
        Err(error) => return tell(error.into()),
    };
    let mut questions = Vec::new();
    for flow in &answer.flows {
        match of_flow(bound, &flow.flow) {
            Ok(question) => questions.push(question),
            Err(why) => remark(&format!("not sent: {why}")),
        }
    }
    let found = watched.probed(live, questions, args).await?;
    let style = style();
    let paint = paint(style);
    let look = Look::new(style.width, &paint);
    let mut text = String::new();
    for (question, observed, judgement) in &found.answers {
        let word = match &observed.outcome {
            Outcome::Connected => style.good("answered"),
            Outcome::Refused => style.good("refused: let through, and nobody listens"),
            Outcome::Dropped => style.bad("no answer"),
            Outcome::Broken(why) => style.doubt(&format!("not carried: {why}")),
            Outcome::NotExercised(why) => style.doubt(&format!("not sent: {why}")),
        };
        let _ = writeln!(text, "{}: {word}", words(bound, question));
        if let Judgement::Disagreed(wrong) = judgement {
            wrong.iter().for_each(|line| text.push_str(&format!("  {}\n", style.bad(line))));
        }
    }
    for record in watched.records(&found) {
        let _ = writeln!(text, "  {}", line(&record, look));
    }
    print(&text)
}

/// Says what is wrong and goes on.
fn tell(failure: Failure) -> Result<(), Failure> {
    match failure {
        Failure::Closed => Err(Failure::Closed),
        Failure::Input { message, help } => {
            crate::out::error(&message, help.as_deref());
            Ok(())
        }
        Failure::Told(text) => {
            crate::out::lines(&text);
            Ok(())
        }
        Failure::Environment(message) => {
            crate::out::error(&message, None);
            Ok(())
        }
    }
}

/// When each file below was last written, and its length.
fn stamps(files: &[String]) -> Vec<(String, Option<SystemTime>, u64)> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| *file != "-") {
        stamp(Path::new(file), &mut found);
    }
    found.sort();
    found
}

fn stamp(path: &Path, found: &mut Vec<(String, Option<SystemTime>, u64)>) {
    if path.is_dir() {
        // A directory that cannot be listed is one without files until it can.
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.for_each(|entry| stamp(&entry.path(), found));
    } else if let Ok(about) = path.metadata() {
        found.push((path.display().to_string(), about.modified().ok(), about.len()));
    }
}
