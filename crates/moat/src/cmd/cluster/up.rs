//! `moat up`: starts a cluster, in the foreground or as a process of its own.

use super::{home, spelled};
use crate::args::Up as Args;
use crate::exit::{Ended, Failure, Outcome};
use crate::out::{Progress, print, remark};
use crate::world::inputs;
use moat_cluster::control::{self, Ask};
use moat_cluster::home::{Home, Lock, STATE_SCHEMA, State};
use moat_cluster::kubeconfig;
use moat_cluster::nodes::Wanted;
use moat_cluster::nodes::object::Capacity;
use moat_cluster::{Cluster, Manifests, Options};
use serde::{Deserialize, Serialize};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The port that Kubernetes' API servers have by custom.
const PORT: u16 = 6443;

/// How a start went: what a cluster in the background tells the process that started it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Started {
    /// What to print, or why there is nothing to print.
    text: Result<String, String>,
}

pub(crate) fn up(args: &Args) -> Outcome {
    let home = home(&args.named.name)?;
    if args.detach {
        if args.files.iter().any(|file| file == "-") {
            return Err(Failure::with_help(
                "-f -: a cluster in the background has no standard input",
                "write the manifests to a file",
            ));
        }
        return detach(&home);
    }
    let started = start(args, &home);
    if !args.in_background {
        return started;
    }
    // The one who waits for this line prints it; nobody reads this process's output afterwards.
    if let Err(failure) = &started {
        let why = match failure {
            Failure::Input { message, .. } | Failure::Environment(message) => message.clone(),
            Failure::Told(text) => text.clone(),
            Failure::Closed => return started,
        };
        tell(&Started { text: Err(why) })?;
    }
    started
}

fn tell(started: &Started) -> Result<(), Failure> {
    let line = serde_json::to_string(started).map_err(std::io::Error::from)?;
    print(&format!("{line}\n"))
}

/// Starts the same command as a process of its own, and waits until it is ready.
fn detach(home: &Home) -> Outcome {
    let failed =
        |what: &str, error: std::io::Error| Failure::Environment(format!("{what}: {error}"));
    std::fs::create_dir_all(home.dir())
        .map_err(|error| failed(&home.dir().display().to_string(), error))?;
    let log = std::fs::File::create(home.log())
        .map_err(|error| failed(&home.log().display().to_string(), error))?;
    let own = std::env::current_exe().map_err(|error| failed("this program's file", error))?;
    let arguments = std::env::args_os().skip(1).map(|argument| {
        if argument == "--detach" || argument == "-d" { "--in-background".into() } else { argument }
    });
    let mut child = Command::new(own)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|error| failed("cannot start a process", error))?;
    let progress = Progress::new("starting");
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        let _ = BufReader::new(output.take(1 << 20)).read_line(&mut line);
    }
    drop(progress);
    match serde_json::from_str::<Started>(&line) {
        Ok(Started { text: Ok(text) }) => {
            print(&text)?;
            Ok(Ended::Yes)
        }
        Ok(Started { text: Err(why) }) => {
            let _ = child.wait();
            Err(Failure::Environment(why))
        }
        Err(_) => {
            let _ = child.wait();
            let log = std::fs::read_to_string(home.log()).unwrap_or_default();
            Err(Failure::Environment(format!(
                "the cluster ended before it was ready: {}",
                log.trim()
            )))
        }
    }
}

fn start(args: &Args, home: &Home) -> Outcome {
    let mut options = options(args)?;
    let lock = home
        .lock()
        .map_err(|error| Failure::Environment(format!("{}: {error}", home.dir().display())))?;
    let Some(lock) = lock else {
        return Err(Failure::Environment(format!(
            "a cluster {:?} is up already; `{}` ends it, --name starts another",
            home.name,
            spelled("moat down", &home.name)
        )));
    };
    // What one that was killed left in the kubeconfig would be mistaken for what was there before.
    home.clear().map_err(|error| Failure::Environment(error.to_string()))?;
    if args.address.is_none() && std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).is_err() {
        options.address.set_port(0);
    }
    if args.in_background {
        // A background process outlives the terminal that it was started from.
        let _ = nix::unistd::setsid();
    }
    moat_kernel::sandbox::raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(args, home, options, lock))
}

async fn run(args: &Args, home: &Home, options: Options, _lock: Lock) -> Outcome {
    let began = Instant::now();
    let environment = |error: &dyn std::fmt::Display| Failure::Environment(error.to_string());
    let data_dir = options.data_dir.clone();
    let cluster = Cluster::start(options).await.map_err(|error| environment(&error))?;
    let took = began.elapsed();
    for remark_ in cluster.remarks() {
        remark(remark_);
    }
    let context = cluster.context(&home.name);
    kubeconfig::write(&home.kubeconfig(), &moat_report::yaml::render(&kubeconfig::alone(&context)))
        .map_err(|error| environment(&error))?;
    let mut state = State {
        schema: STATE_SCHEMA.to_owned(),
        pid: std::process::id(),
        url: context.server.clone(),
        started: cluster.started(),
        data_dir,
        kubeconfig: None,
        context_before: None,
    };
    let told = announce(args, home, &context, &mut state);
    home.write_state(&state).map_err(|error| environment(&error))?;
    let cluster = Arc::new(cluster);
    let stop = Arc::new(Notify::new());
    let (asked, ending) = (Arc::clone(&cluster), Arc::clone(&stop));
    let serving = control::serve(&home.socket(), move |ask| {
        let (cluster, stop) = (Arc::clone(&asked), Arc::clone(&ending));
        Box::pin(async move {
            if ask == Ask::Stop {
                stop.notify_one();
                return Ok(serde_json::Value::Null);
            }
            cluster.answer(ask).await
        })
    })
    .map_err(|error| Failure::Environment(format!("{}: {error}", home.socket().display())))?;
    let text = ready(args, home, &cluster, took, &told);
    if args.in_background {
        tell(&Started { text: Ok(text) })?;
    } else {
        print(&text)?;
    }
    wait(&stop).await?;
    serving.abort();
    let _ = serving.await;
    // A question under way holds the cluster a moment longer.
    let mut cluster = cluster;
    let whole = loop {
        match Arc::try_unwrap(cluster) {
            Ok(whole) => break whole,
            Err(held) => {
                cluster = held;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    whole.shutdown().await;
    home.clear().map_err(|error| environment(&error))?;
    Ok(Ended::Yes)
}

/// Waits for Ctrl-C, for a request to end, or for `moat down`.
async fn wait(stop: &Notify) -> Result<(), Failure> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    tokio::select! {
        () = stop.notified() => {}
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}

/// Where kubectl finds the cluster, in words.
fn announce(args: &Args, home: &Home, context: &kubeconfig::Context, state: &mut State) -> String {
    let own = home.kubeconfig();
    let alone = |why: &str| format!("{why}KUBECONFIG={}", own.display());
    if args.no_kubeconfig {
        return alone("");
    }
    let of = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let listed = std::env::var("KUBECONFIG").ok();
    let default = kubeconfig::default_path(listed.as_deref(), of("HOME").as_deref());
    let Some(path) = args.kubeconfig.clone().or(default) else {
        return alone("no HOME, so no kubeconfig was changed; ");
    };
    let put = kubeconfig::change(&path, |config| {
        kubeconfig::add(config, context).map_err(|kubeconfig::Taken| {
            format!("it has a context {:?} that is not moat's; use --name", context.name)
        })
    });
    match put {
        Ok(before) => {
            state.kubeconfig = Some(absolute(&path));
            state.context_before = before;
            format!("context {:?} in {} is the current one", context.name, path.display())
        }
        Err(error) => alone(&format!("{error}; instead ")),
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn ready(args: &Args, home: &Home, cluster: &Cluster, took: Duration, kubectl: &str) -> String {
    let nodes = match (cluster.n_nodes().0, cluster.n_nodes().1) {
        (0, 0) => "none: pods stay Pending".to_owned(),
        (agentless, 0) => format!(
            "{agentless}: pods are placed there and stay Pending, as this version has no node agent"
        ),
        (0, fake) => {
            format!("{fake} fake: pods get the status of running ones, and no container runs")
        }
        (agentless, fake) => format!(
            "{agentless} on which pods stay Pending, and {fake} fake ones, on which none runs but all say so"
        ),
    };
    let data = match &args.data_dir {
        Some(dir) => format!("kept in {}", dir.display()),
        None => "in memory: gone when the cluster ends".to_owned(),
    };
    let end = if args.in_background {
        format!("`{}`", spelled("moat down", &home.name))
    } else {
        "Ctrl-C".to_owned()
    };
    let applied = match cluster.n_applied() {
        0 => String::new(),
        n => format!("{n} from manifests, "),
    };
    format!(
        "The cluster {:?} is up: {}, after {} ms\n  nodes    {nodes}\n  objects  {applied}{data}\n  kubectl  {kubectl}\n{end} ends it.\n",
        home.name,
        cluster.api().url(),
        took.as_millis(),
    )
}

fn options(args: &Args) -> Result<Options, Failure> {
    let n_agentless = args.nodes.unwrap_or(u32::from(args.fake_nodes == 0));
    let labels = args.node_labels.iter().map(|text| {
        text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(
            || Failure::with_help(format!("--node-label {text}: no `=`"), "write KEY=VALUE"),
        )
    });
    let pods = moat_sets::Cidr::parse(&args.pod_cidr)
        .map_err(|error| Failure::input(format!("--pod-cidr {}: {error}", args.pod_cidr)))?;
    let mut options = Options {
        address: args.address.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))),
        api_names: args.api_names.clone(),
        data_dir: args.data_dir.as_deref().map(absolute),
        nodes: Wanted {
            n_agentless: n_agentless as usize,
            n_fake: args.fake_nodes as usize,
            labels: labels.collect::<Result<_, _>>()?,
            capacity: Capacity {
                cpu: args.node_cpu.clone(),
                memory: args.node_memory.clone(),
                pods: args.node_pods,
            },
            pods,
        },
        services: args
            .service_cidr
            .parse()
            .map_err(|why| Failure::input(format!("--service-cidr: {why}")))?,
        audit_log: args.audit_log.as_deref().map(absolute),
        manifests: Manifests::read(&inputs(&args.files))
            .map_err(|faults| Failure::input(faults.to_string()))?,
        ..Options::default()
    };
    if let Some(path) = &args.scheduler_config {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
        options.scheduler = moat_scheduler::Config::parse(&path.display().to_string(), &text)
            .map_err(|error| Failure::input(error.to_string()))?;
    }
    Ok(options)
}
