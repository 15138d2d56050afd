//! `moat status`.

use super::root;
use crate::args::{ClusterStatus as Args, DataOutput};
use crate::exit::{Ended, Failure, Outcome};
use crate::out::{print, style};
use core::fmt::Write as _;
use moat_cluster::control::{Ask, ask};
use moat_cluster::home::Home;
use moat_cluster::status::Status;
use moat_report::Style;
use serde_json::json;

/// A cluster that was asked how it does.
struct Asked {
    home: Home,
    /// Nothing where it does not run.
    status: Option<Result<Status, String>>,
}

pub(crate) fn status(args: &Args) -> Outcome {
    let root = root()?;
    let homes = match &args.name {
        Some(name) => vec![Home::new(&root, name).map_err(Failure::input)?],
        None => Home::all(&root),
    };
    let asked: Vec<Asked> = homes
        .into_iter()
        .map(|home| Asked { status: home.is_running().then(|| of(&home)), home })
        // One that was reset or never ran is nothing to tell, unless it was asked for by name.
        .filter(|one| args.name.is_some() || one.status.is_some() || one.home.state().is_some())
        .collect();
    let text = match args.output {
        DataOutput::Text => text(&asked, style()),
        DataOutput::Json => format!("{:#}\n", value(&asked)),
        DataOutput::Yaml => moat_report::yaml::render(&value(&asked)),
    };
    print(&text)?;
    let well = |one: &Asked| matches!(&one.status, Some(Ok(status)) if status.trouble.is_none() && status.nodes.ready == status.nodes.total);
    Ok(if !asked.is_empty() && asked.iter().all(well) { Ended::Yes } else { Ended::No })
}

fn of(home: &Home) -> Result<Status, String> {
    let answer = ask(&home.socket(), &Ask::Status)?;
    serde_json::from_value(answer)
        .map_err(|error| format!("an answer of another version of moat: {error}"))
}

fn value(asked: &[Asked]) -> serde_json::Value {
    let clusters: Vec<_> = asked
        .iter()
        .map(|one| match &one.status {
            None => json!({ "name": one.home.name, "running": false }),
            Some(Ok(status)) => json!({ "name": one.home.name, "running": true, "status": status }),
            Some(Err(why)) => json!({ "name": one.home.name, "running": true, "error": why }),
        })
        .collect();
    json!({ "schema": "moat.dev/clusters/v1", "clusters": clusters })
}

fn text(asked: &[Asked], style: Style) -> String {
    if asked.is_empty() {
        return "no cluster is up; `moat up` starts one\n".to_owned();
    }
    let mut out = String::new();
    for one in asked {
        if !out.is_empty() {
            out.push('\n');
        }
        let name = style.bold(&one.home.name);
        match &one.status {
            None if one.home.state().is_some() => {
                let clear = super::spelled("moat down", &one.home.name);
                let _ = writeln!(
                    out,
                    "{name} {}: `{clear}` clears what is left",
                    style.bad("ended by itself")
                );
            }
            None => {
                let _ = writeln!(out, "{name} is down");
            }
            Some(Err(why)) => {
                let _ = writeln!(out, "{name} {}: {why}", style.bad("runs and does not answer"));
            }
            Some(Ok(status)) => {
                let _ = writeln!(out, "{name} {}", style.good("is up"));
                out.push_str(&lines(status, &one.home, style));
            }
        }
    }
    out
}

fn lines(status: &Status, home: &Home, style: Style) -> String {
    let mut out = String::new();
    let mut line = |key: &str, text: String| {
        let _ = writeln!(out, "  {key:<11}{text}");
    };
    line("API", format!("{}, for {}, process {}", status.url, span(status.up_seconds), status.pid));
    let nodes = status.nodes;
    let fake = match nodes.fake {
        0 => String::new(),
        n if n == nodes.total => ", all fake: no container runs on them".to_owned(),
        n => format!(", {n} of them fake: no container runs on those"),
    };
    line("nodes", format!("{} of {} ready{fake}", nodes.ready, nodes.total));
    let pods: Vec<String> =
        status.pods.iter().map(|(phase, n)| format!("{n} {}", phase.to_lowercase())).collect();
    line("pods", if pods.is_empty() { "none".to_owned() } else { pods.join(", ") });
    let place = match &status.data_dir {
        Some(dir) => format!("kept in {}", dir.display()),
        None => "in memory: gone when it ends".to_owned(),
    };
    line("objects", format!("{}, revision {}, {place}", status.objects, status.revision));
    if let Some(bytes) = status.memory_bytes {
        line("memory", format!("{} MiB", bytes >> 20));
    }
    line("kubeconfig", home.kubeconfig().display().to_string());
    if let Some(trouble) = &status.trouble {
        line("trouble", style.bad(trouble));
    }
    out
}

/// `3 h 20 min`: two units at most.
fn span(seconds: u64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let mut left = seconds;
    let mut parts = Vec::new();
    for (size, unit) in units {
        if left >= size && parts.len() < 2 {
            parts.push(format!("{} {unit}", left / size));
            left %= size;
        }
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moat_cluster::status::{Ready, SCHEMA};
    use std::path::Path;

    #[test]
    fn what_an_operator_reads() {
        let home = |name| Home::new(Path::new("/s"), name).unwrap();
        let status = Status {
            schema: SCHEMA.to_owned(),
            pid: 7,
            url: "https://127.0.0.1:6443".to_owned(),
            up_seconds: 12_345,
            data_dir: None,
            nodes: Ready { ready: 3, fake: 2, total: 3 },
            pods: [("Pending".to_owned(), 1), ("Running".to_owned(), 12)].into(),
            objects: 77,
            revision: 1234,
            memory_bytes: Some(40 << 20),
            trouble: Some("no space left on device".to_owned()),
        };
        let asked = [
            Asked { home: home("ci"), status: None },
            Asked { home: home("moat"), status: Some(Ok(status)) },
            Asked { home: home("odd"), status: Some(Err("it ended".to_owned())) },
        ];
        expect_test::expect![[r#"
            ci is down

            moat is up
              API        https://127.0.0.1:6443, for 3 h 25 min, process 7
              nodes      3 of 3 ready, 2 of them fake: no container runs on those
              pods       1 pending, 12 running
              objects    77, revision 1234, in memory: gone when it ends
              memory     40 MiB
              kubeconfig /s/moat/kubeconfig
              trouble    no space left on device

            odd runs and does not answer: it ended
        "#]]
        .assert_eq(&text(&asked, Style { color: false, width: 100 }));
        expect_test::expect![[r#"
            no cluster is up; `moat up` starts one
        "#]]
        .assert_eq(&text(&[], Style { color: false, width: 100 }));
    }
}
