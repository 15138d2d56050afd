//! Flags and help texts; the manual and the completions are made from these.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// Kubernetes network policy, from YAML to kernel: who can talk to whom, on which port, and why.
#[derive(Debug, Parser)]
#[command(name = "moat", version, after_help = AFTER)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER: &str = "\
Exit codes:
  0  yes: allowed, clean, no difference
  1  no: denied or undefined, findings, differences, failed tests
  2  bad input: a question that cannot be understood, manifests that cannot be read
  3  environment: no permission, no such tool

Start with:
  moat demo                                     a small world, explained
  moat explain -f k8s/ shop/web shop/db:5432    why is this allowed or denied?
  moat reach -f k8s/                            who can reach whom?
  moat test tests.yaml -f k8s/                  do the policies do what they should?
  moat verify -f k8s/                           does a kernel do what the policies say?
  moat up --fake-nodes 3                        a Kubernetes API with controllers and scheduler, for kubectl
  moat lint -f k8s/                             what is wrong with these files?";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say whether FROM can open a connection to TO, and why
    #[command(after_help = "\
Names:
  shop/web              a pod, or the only workload of that name
  shop/deployment/web   a workload
  shop/svc/db           a Service: the question goes through its ports to its pods
  10.0.0.7, ::1         an address; one of a pod or Service means that pod or Service
  10.0.0.0/8            every address of a prefix
  domain/api.example.com  a domain name outside the cluster

Examples:
  moat explain -f k8s/ shop/web shop/db:5432
  moat explain -f k8s/ shop/web shop/svc/db:5432/TCP
  moat explain -f k8s/ 203.0.113.9 shop/deployment/web:https
  kubectl get pods,ns,netpol,svc,nodes -A -o yaml | moat explain -f - shop/web 8.8.8.8:53/UDP
  moat explain -f k8s/ --flows flows.jsonl -o jsonl
  moat explain pod shop/web                      why the embedded cluster's scheduler puts this pod where it does, or nowhere

Exit codes: 0 allowed, 1 denied or undefined, 2 bad input. With --flows: 0 when every line was answered.")]
    Explain(Explain),
    /// Show who can reach whom
    #[command(after_help = "\
Examples:
  moat reach -f k8s/
  moat reach -f k8s/ --focus shop/db --port 5432
  moat reach -f k8s/ --flat -o csv > matrix.csv
  moat reach -f k8s/ --focus shop/web --hops 3
  moat reach -f k8s/ --exposure
  moat reach -f k8s/ -o html > reach.html")]
    Reach(Reach),
    /// Show what a change of manifests opens and closes
    #[command(after_help = "\
OLD and NEW are directories, files, or git revisions written REV or REV:PATH.

Examples:
  moat diff old/ new/
  moat diff main:k8s k8s/
  moat diff HEAD~1:deploy HEAD:deploy -o json

Exit codes: 0 no difference, 1 differences, 2 bad input.")]
    Diff(Diff),
    /// Test policies against what they should allow and deny
    #[command(after_help = "\
A test file is a list of tests, each with one assertion:
  tests:
  - name: only the web tier reaches the database
    only:                        exactly these may: each of them, and nobody else
      from: [shop/deployment/web]
      to: shop/deployment/db
      port: 5432
  - name: nobody reaches the database from outside
    deny: {from: outside, to: shop/deployment/db}
  - name: web answers the world
    allow: {from: 203.0.113.0/24, to: shop/svc/web, port: https}
  - name: nobody but monitoring and the pods of shop reaches shop
    at-most: {from: [monitoring/*, shop/*], to: shop/*}

`from` and `to` take a name or a list of names:
  ns/pod  ns/kind/name  ns/svc/name     as in `moat explain`
  ns/*  */*  ns/app=web  */tier=db      the pods of a namespace or of all, by label
  10.0.0.0/8  2001:db8::1  outside      addresses that are no pod's
`port` and `ports` take 80, http, 53/UDP, ICMP; without them any port is meant.

Examples:
  moat test policy-tests.yaml -f k8s/
  moat test policy-tests.yaml -f k8s/ -o junit > report.xml
  moat test policy-tests.yaml -f k8s/ --mutate
  moat test policy-tests.yaml -f k8s/ --live     the same flows as real packets through this kernel

Exit codes: 0 all pass, 1 a test fails (or, with --mutate, a rule is untested), 2 bad input.")]
    Test(Test),
    /// Prove with real packets that a kernel does what the policies say
    #[command(after_help = "\
Builds the world of the manifests in network namespaces of this process (nodes, pods, Services, the world outside), applies the
policies to the kernel, and sends real packets between all ends; every answer and every record of the kernel's log is held against
what `moat explain` says. Needs no root, no cluster and no other program, and leaves nothing behind.

Examples:
  moat verify -f k8s/
  moat verify -f k8s/ --nodes 3 --protocols tcp,udp --sample 2000
  moat verify -f k8s/ -o json
  moat verify -f k8s/ --keep                     a running world: edit the files, type `shop/web shop/db:5432`
  moat verify -f k8s/ --keep --record flows.jsonl    and its log, for `moat flows flows.jsonl --follow`

Exit codes: 0 all agree, 1 some disagree, 2 bad input, 3 the kernel or its settings do not let this process make namespaces.")]
    Verify(Verify),
    /// Show recorded flows with the rule that decided, or replay them against other policies
    #[command(after_help = "\
FILE holds one flow record a line (schema moat.dev/flow/v1), as `moat verify --record` writes them.

Examples:
  moat verify -f k8s/ --record flows.jsonl
  moat flows flows.jsonl --verdict denied --to shop/db
  moat flows flows.jsonl --follow --verdict denied   live, while `moat verify --keep --record flows.jsonl` runs
  moat flows flows.jsonl --policy shop/default-deny --summary
  moat flows flows.jsonl --replay -f proposed/     which of these flows would fare otherwise?

Exit codes: 0 done (with --replay: no verdict changes), 1 with --replay: verdicts change, 2 bad input.")]
    Flows(Flows),
    /// Start an embedded Kubernetes: API server, controllers and scheduler in this process
    #[command(after_help = "\
kubectl finds the cluster at once: its context is put into the kubeconfig that kubectl uses, beside those that are there, and taken
out again when the cluster ends. Without --data-dir all is in memory and gone with it.

Pods are scheduled, and run nowhere yet: on nodes of --nodes they stay Pending and an event says why; on nodes of --fake-nodes they
get the status of pods that run, and no container does. Annotations of a pod steer the latter:
  moat.dev/fake-runs-for: \"2.5\"     ends after so many seconds; pods of Jobs end at once unless they say
  moat.dev/fake-exit-code: \"1\"      with this exit code
  moat.dev/fake-ready: \"false\"      runs and is never ready
and one of a node, moat.dev/fake-down: \"true\", lets it fall silent as a machine without power does.

Examples:
  moat up --fake-nodes 3
  moat up --detach --data-dir ~/cluster --fake-nodes 20
  kubectl create deployment web --image=nginx --replicas=10 && kubectl rollout status deployment/web
  moat status
  moat down

Exit codes: 0 ended as asked, 2 bad input, 3 it could not start.")]
    Up(Up),
    /// End an embedded cluster that `moat up` started
    Down(Named),
    /// Say how the embedded clusters do
    #[command(after_help = "Exit codes: 0 it runs, 1 it does not, or something is wrong with it.")]
    Status(ClusterStatus),
    /// End an embedded cluster and remove all that is kept of it
    Reset(Reset),
    /// Bootstrap tokens, by which machines prove that they may join the embedded cluster
    #[command(after_help = "\
A token is a credential of the API (group system:bootstrappers) that ends by itself.

Examples:
  moat token create --ttl 2h
  moat token create --print-join-command
  moat token list
  moat token delete abcdef")]
    Token(Token),
    /// Let this machine join a cluster as a node, by a bootstrap token
    #[command(after_help = "\
The server is believed only if it knows the token, and its authority's key has the hash. The machine then gets a certificate of a node and
registers it. No pod runs there: this version has no node agent, so the node says that it is not ready.

Examples:
  moat token create --print-join-command          on the machine of the cluster; prints what to type here
  moat join 10.0.0.1:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash sha256:...

Exit codes: 0 joined, 2 bad input, 3 the cluster cannot be reached, is another one, or refuses.")]
    Join(Join),
    /// Report what is wrong with manifests and policies
    #[command(after_help = "\
Examples:
  moat lint -f k8s/
  moat lint -f k8s/ -o sarif > moat.sarif
  moat lint -f k8s/ --ignore unknown-field,MOAT005
  moat rule MOAT006

Exit codes: 0 no errors or warnings, 1 findings, 2 bad input.")]
    Lint(Lint),
    /// Explain one lint rule, or list all
    Rule(Rule),
    /// Show the main job on a small built-in world
    Demo(Demo),
    /// List every choice Kubernetes leaves open, and what each dialect chooses
    Dialects,
    /// Print the compiled form of the policies
    #[command(hide = true)]
    Ir(Ir),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, in roff
    Man,
    /// Print the version
    Version,
}

/// What every command that reads manifests takes.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct Common {
    /// Manifests: a file, a directory, or - for standard input; may be repeated
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR|-")]
    pub(crate) files: Vec<String>,
    /// The namespace of objects and names that give none
    #[arg(
        short = 'n',
        long = "default-namespace",
        value_name = "NAMESPACE",
        default_value = "default"
    )]
    pub(crate) namespace: String,
    /// Whose choices to follow where Kubernetes leaves one open (see `moat dialects`)
    #[arg(long, value_enum, default_value_t)]
    pub(crate) dialect: DialectName,
    /// Prefix that pod addresses come from, when manifests do not say; may be repeated
    #[arg(long, value_name = "CIDR")]
    pub(crate) pod_cidr: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DialectName {
    /// Moat's own agent and cluster
    #[default]
    Moat,
    /// The API text alone: what it leaves open is undefined
    Spec,
    /// Calico
    Calico,
    /// Cilium
    Cilium,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Who opens the connection
    #[arg(value_name = "FROM", required_unless_present = "flows")]
    pub(crate) from: Option<String>,
    /// To whom, with port and protocol (TCP unless said)
    #[arg(value_name = "TO[:PORT[/PROTOCOL]]", required_unless_present = "flows")]
    pub(crate) to: Option<String>,
    /// Answer one flow a line from a file, or - for standard input: {"from":"ns/pod","to":"ns/pod","port":80,"protocol":"TCP"}.
    ///
    /// `port` may be a number or a name, `protocol` is TCP unless said, other fields are passed over. Answers come in the order of the
    /// lines, each with its `line`.
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ["from", "to"])]
    pub(crate) flows: Option<String>,
    /// The form of the answer
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: ExplainOutput,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExplainOutput {
    #[default]
    Text,
    Json,
    Yaml,
    /// One JSON object a line; only with --flows
    Jsonl,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Reach {
    #[command(flatten)]
    pub(crate) common: Common,
    /// One row for each pair of workloads or pods instead of groups: CSV, or -o json
    #[arg(long)]
    pub(crate) flat: bool,
    /// Only what this pod or workload reaches or is reached by; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) focus: Vec<String>,
    /// Only this destination port, such as 443 or 53/UDP
    #[arg(long, value_name = "PORT[/PROTOCOL]")]
    pub(crate) port: Option<String>,
    /// Only what pods reach (egress) or are reached by (ingress): those of --focus and --namespace, or all
    #[arg(long, value_enum)]
    pub(crate) direction: Option<DirectionName>,
    /// Only pairs with an end in this namespace; may be repeated
    #[arg(long = "namespace", value_name = "NAMESPACE")]
    pub(crate) in_namespace: Vec<String>,
    /// With --focus: what can be reached in up to this many steps
    #[arg(long, value_name = "N", requires = "focus")]
    pub(crate) hops: Option<u32>,
    /// What pods that do not exist yet could reach or be reached by
    #[arg(long)]
    pub(crate) exposure: bool,
    /// The form of the answer
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: ReachOutput,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DirectionName {
    Ingress,
    Egress,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReachOutput {
    #[default]
    Text,
    Wide,
    Json,
    Yaml,
    Csv,
    Dot,
    Mermaid,
    Svg,
    Html,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Diff {
    /// The state before: a directory, a file, or a git revision `REV[:PATH]`
    pub(crate) old: String,
    /// The state after
    pub(crate) new: String,
    #[command(flatten)]
    pub(crate) common: Common,
    /// The form of the answer
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: DataOutput,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Test {
    /// Test files, directories of them, or - for standard input
    #[arg(required = true, value_name = "SPEC")]
    pub(crate) specs: Vec<String>,
    #[command(flatten)]
    pub(crate) common: Common,
    /// List the rules whose removal no test notices
    #[arg(long)]
    pub(crate) mutate: bool,
    /// Send every flow that the tests ask about as a real packet, too, in network namespaces of this process
    #[arg(long)]
    pub(crate) live: bool,
    /// The form of the report
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: TestOutput,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TestOutput {
    #[default]
    Text,
    Json,
    Yaml,
    Junit,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Nodes, at least; those that manifests name come first
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) nodes: u16,
    /// Pods that take part of those that are alike to every policy
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) pods_per_class: u16,
    /// Ask this many questions instead of all; a fair choice, the same every time
    #[arg(long, value_name = "N")]
    pub(crate) sample: Option<usize>,
    /// Protocols to ask
    #[arg(long, value_delimiter = ',', value_name = "PROTOCOL", default_values = ["tcp", "udp", "sctp", "icmp"])]
    pub(crate) protocols: Vec<ProtocolName>,
    /// Milliseconds without an answer after which a packet counts as dropped
    #[arg(long, value_name = "MS", default_value_t = 400, value_parser = clap::value_parser!(u32).range(20..=60_000))]
    pub(crate) timeout: u32,
    /// Stay up until Ctrl-C: apply changes of the files as they are saved, and probe what is typed: FROM TO:PORT
    #[arg(long)]
    pub(crate) keep: bool,
    /// Write what the kernel logs to this file, one flow record a line, for `moat flows`; with --keep, for as long as the world is up
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<String>,
    /// The form of the report
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: DataOutput,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Flows {
    /// Recorded flows, or - for standard input
    #[arg(value_name = "FILE|-")]
    pub(crate) file: String,
    #[command(flatten)]
    pub(crate) common: Common,
    /// Only this verdict: allowed, denied; of staged policies would-allow, would-deny
    #[arg(long, value_name = "VERDICT")]
    pub(crate) verdict: Option<String>,
    /// Only from here: ns/pod, ns/web-*, a namespace, a node, an address, a CIDR, or outside
    #[arg(long, value_name = "WHO")]
    pub(crate) from: Option<String>,
    /// Only to there: the same, with :PORT or :PORT/PROTOCOL
    #[arg(long, value_name = "WHO[:PORT]")]
    pub(crate) to: Option<String>,
    /// Only what this direction decided
    #[arg(long, value_name = "DIRECTION")]
    pub(crate) direction: Option<String>,
    /// Only this protocol
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) protocol: Option<String>,
    /// Only this destination port
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<String>,
    /// Only from then on: 5m, 1h30m, or a time such as 2026-11-21T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only what this policy decided: ns/name
    #[arg(long, value_name = "POLICY")]
    pub(crate) policy: Option<String>,
    /// Do not end with the file, but wait for what is recorded next, until Ctrl-C
    #[arg(long, conflicts_with_all = ["replay", "summary"])]
    pub(crate) follow: bool,
    /// Count by source, destination, port and policy, those denied most first
    #[arg(long, conflicts_with = "replay")]
    pub(crate) summary: bool,
    /// List flows whose verdict would change under the policies of -f
    #[arg(long, requires = "files")]
    pub(crate) replay: bool,
    /// The form of the answer
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: FlowsOutput,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum FlowsOutput {
    #[default]
    Text,
    /// One record a line; with --summary and --replay one object
    Jsonl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProtocolName {
    Tcp,
    Udp,
    Sctp,
    /// Echo requests
    Icmp,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Lint {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Only these rules: codes, beginnings of codes, names, or `all`; comma-separated or repeated
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub(crate) select: Vec<String>,
    /// None of these rules; errors are always reported
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub(crate) ignore: Vec<String>,
    /// The form of the report
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: LintOutput,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LintOutput {
    #[default]
    Text,
    Json,
    Sarif,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rule {
    /// A code such as MOAT006, or a rule's name; without it all rules are listed
    pub(crate) code: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Demo {
    /// Write the demo's manifests into this directory, to try other commands on them
    #[arg(long, value_name = "DIR")]
    pub(crate) write: Option<String>,
    /// Ask the engine alone and send no packet
    #[arg(long)]
    pub(crate) no_packets: bool,
}

/// Which embedded cluster is meant.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Named {
    /// The cluster's name
    #[arg(long, value_name = "NAME", default_value = "moat")]
    pub(crate) name: String,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) named: Named,
    /// Nodes on which pods are placed and wait for a node agent; 1 unless there are fake ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(crate) nodes: Option<u32>,
    /// Nodes on which pods get a status and no container runs
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(crate) fake_nodes: u32,
    /// A label of all nodes; may be repeated
    #[arg(long = "node-label", value_name = "KEY=VALUE")]
    pub(crate) node_labels: Vec<String>,
    /// CPUs that each node offers
    #[arg(long, value_name = "QUANTITY", default_value = "8")]
    pub(crate) node_cpu: String,
    /// Memory that each node offers
    #[arg(long, value_name = "QUANTITY", default_value = "32Gi")]
    pub(crate) node_memory: String,
    /// Pods that each node takes
    #[arg(long, value_name = "N", default_value_t = 110, value_parser = clap::value_parser!(u32).range(1..=16_000_000))]
    pub(crate) node_pods: u32,
    /// The range that pods have their addresses from
    #[arg(long, value_name = "CIDR", default_value = "10.244.0.0/16")]
    pub(crate) pod_cidr: String,
    /// The range that Services have their addresses from
    #[arg(long, value_name = "CIDR", default_value = "10.96.0.0/16")]
    pub(crate) service_cidr: String,
    /// Apply these manifests before the cluster says that it is up: a file, a directory, or - for standard input; may be repeated
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR|-")]
    pub(crate) files: Vec<String>,
    /// Where the API server listens; without it 127.0.0.1:6443, or another port where that is taken
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) address: Option<std::net::SocketAddr>,
    /// A name by which clients may reach the API server, besides localhost; may be repeated
    #[arg(long = "api-name", value_name = "NAME")]
    pub(crate) api_names: Vec<String>,
    /// Keep objects, keys and volumes here; without it objects are in memory, and nobody makes volumes for claims
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<std::path::PathBuf>,
    /// Write to this file who asked what and how it went, as upstream's audit log at level Metadata; 100 MiB a file, four older ones
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_log: Option<std::path::PathBuf>,
    /// A KubeSchedulerConfiguration, v1
    #[arg(long, value_name = "FILE")]
    pub(crate) scheduler_config: Option<std::path::PathBuf>,
    /// Put the context into this file; without it where kubectl looks: $KUBECONFIG, or ~/.kube/config
    #[arg(long, value_name = "FILE", conflicts_with = "no_kubeconfig")]
    pub(crate) kubeconfig: Option<std::path::PathBuf>,
    /// Touch no kubeconfig; the cluster's own is in its directory, as `moat status` says
    #[arg(long)]
    pub(crate) no_kubeconfig: bool,
    /// Go to the background once the cluster is ready
    #[arg(long, short = 'd')]
    pub(crate) detach: bool,
    /// The background process itself: says on standard output, as one line of JSON, how the start went.
    #[arg(long, hide = true, conflicts_with = "detach")]
    pub(crate) in_background: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ClusterStatus {
    /// The cluster's name; without it all are shown
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The form of the answer
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: DataOutput,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Reset {
    #[command(flatten)]
    pub(crate) named: Named,
    /// Remove the objects, keys and volumes in this directory, too, if the cluster does not itself say where they are
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<std::path::PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Token {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token
    Create {
        #[command(flatten)]
        named: Named,
        /// How long it holds: 30m, 2h, 0 for ever
        #[arg(long, value_name = "TIME", default_value = "24h")]
        ttl: String,
        /// What it is for
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// Print what to type on a machine that is to join
        #[arg(long, conflicts_with = "output")]
        print_join_command: bool,
        /// The form of the answer
        #[arg(short, long, value_enum, default_value_t)]
        output: DataOutput,
    },
    /// List the tokens
    List {
        #[command(flatten)]
        named: Named,
        /// The form of the list
        #[arg(short, long, value_enum, default_value_t)]
        output: DataOutput,
    },
    /// Take a token back
    Delete {
        #[command(flatten)]
        named: Named,
        /// The token, or its part before the dot
        token: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Join {
    /// Where the cluster's API server is
    #[arg(value_name = "HOST:PORT")]
    pub(crate) server: String,
    /// The token
    #[arg(long, value_name = "ID.SECRET")]
    pub(crate) token: String,
    /// The hash of the key that the cluster's authority has to have; may be repeated
    #[arg(long = "discovery-token-ca-cert-hash", value_name = "sha256:HEX", required = true)]
    pub(crate) hashes: Vec<String>,
    /// The node's name; the machine's unless given
    #[arg(long, value_name = "NAME")]
    pub(crate) node_name: Option<String>,
    /// Write the node's kubeconfig to this file; without it beside the directories of the clusters of this user
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<std::path::PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Ir {
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DataOutput {
    #[default]
    Text,
    Json,
    Yaml,
}
