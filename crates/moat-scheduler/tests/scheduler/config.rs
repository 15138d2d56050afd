//! Configurations: what they mean, and what is wrong with them and where.

use expect_test::{Expect, expect};
use moat_scheduler::{Config, Plugin, Profile, Strategy};
use std::time::Duration;

const HEAD: &str = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";

fn read(text: &str) -> Config {
    Config::parse("sched.yaml", &format!("{HEAD}{text}")).unwrap_or_else(|error| panic!("{error}"))
}

fn errors(text: &str, want: Expect) {
    let error = Config::parse("sched.yaml", &format!("{HEAD}{text}")).unwrap_err();
    want.assert_eq(&format!("{error}\n"));
}

#[test]
fn nothing_said_is_the_default() {
    assert_eq!(read(""), Config::default());
    let json =
        r#"{"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}"#;
    assert_eq!(Config::parse("x.json", json).unwrap(), Config::default());
    // Naming every plug-in where it is by default changes nothing.
    let same = read("profiles: [{plugins: {multiPoint: {enabled: [{name: NodeName}]}}}]");
    assert_eq!(same.profiles, [Profile::default()]);
}

#[test]
fn profiles_have_plugins_weights_and_arguments() {
    let config = read("
percentageOfNodesToScore: 30
podInitialBackoffSeconds: 2
podMaxBackoffSeconds: 20
parallelism: 4
leaderElection: {leaderElect: false}
profiles:
- schedulerName: default-scheduler
- schedulerName: packing
  percentageOfNodesToScore: 100
  plugins:
    score:
      disabled: [{name: NodeResourcesBalancedAllocation}, {name: ImageLocality}]
      enabled: [{name: NodeResourcesFit, weight: 5}]
    postFilter: {disabled: [{name: '*'}]}
    multiPoint: {disabled: [{name: InterPodAffinity}, {name: VolumeZone}]}
  pluginConfig:
  - name: NodeResourcesFit
    args:
      apiVersion: kubescheduler.config.k8s.io/v1
      kind: NodeResourcesFitArgs
      ignoredResourceGroups: [example.com]
      scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 3}, {name: memory}]}
  - name: PodTopologySpread
    args: {defaultingType: List, defaultConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]}
");
    assert_eq!(
        (config.backoff_first, config.backoff_max),
        (Duration::from_secs(2), Duration::from_secs(20))
    );
    assert_eq!(config.parallelism, 4);
    let [plain, packing] = config.profiles.as_slice() else { panic!("two profiles") };
    assert_eq!(*plain, Profile { percentage: 30, ..Profile::default() });
    assert_eq!((packing.percentage, packing.preemption), (100, false));
    assert!(!packing.filters.contains(&Plugin::InterPodAffinity));
    assert_eq!(
        packing.scores,
        [
            (Plugin::NodeResourcesFit, 5),
            (Plugin::TaintToleration, 3),
            (Plugin::NodeAffinity, 2),
            (Plugin::PodTopologySpread, 2)
        ]
    );
    assert_eq!(packing.args.strategy, Strategy::MostAllocated);
    assert_eq!(packing.args.resources, [("cpu".into(), 3), ("memory".into(), 1)]);
    assert!(!packing.args.spread_system && packing.args.spread.len() == 1);
}

#[test]
fn all_can_be_turned_off_but_what_is_needed() {
    let config = read("
profiles:
- plugins:
    multiPoint: {disabled: [{name: '*'}], enabled: [{name: PrioritySort}, {name: DefaultBinder}, {name: NodeName}]}
");
    let profile = &config.profiles[0];
    assert_eq!(profile.filters, [Plugin::NodeName]);
    assert!(profile.scores.is_empty() && !profile.preemption && !profile.gates);
}

#[test]
fn errors_name_file_line_and_field() {
    errors(
        "parallelism: many\nfoo: 1\nextenders: [{urlPrefix: x}]\nclientConnection: {kubeconfig: /x}\n",
        expect![[r#"
            sched.yaml:3:14: parallelism: must be a whole number, not a string
            sched.yaml:5:12: extenders: is not supported: the scheduler calls nobody
            sched.yaml:6:19: clientConnection: is not supported: the scheduler runs inside the server and connects to nothing
            sched.yaml:4:1: foo: there is no such field
        "#]],
    );
    errors(
        "leaderElection: {leaderElect: true}\nenableProfiling: true\npodInitialBackoffSeconds: 20\n",
        expect![[r#"
            sched.yaml:1:1: podMaxBackoffSeconds: must not be less than podInitialBackoffSeconds
            sched.yaml:4:18: enableProfiling: is not supported: profiling is not offered
            sched.yaml:3:31: leaderElection.leaderElect: must be false: there is one scheduler, inside the server
        "#]],
    );
    errors(
        "
profiles:
- plugins:
    score: {enabled: [{name: NodeName}, {name: Nonsense, weight: -1}]}
    filter: {enabled: [{name: VolumeZone}], disabled: [{name: Typo}]}
    preFilter: {disabled: [{name: NodePorts}]}
    bind: {disabled: [{name: DefaultBinder}]}
- schedulerName: a
- schedulerName: a
",
        expect![[r#"
            sched.yaml:5:3: profiles[0].schedulerName: is needed where there are several profiles
            sched.yaml:7:31: profiles[0].plugins.filter.enabled[0].name: plugin "VolumeZone" is not part of this scheduler
            sched.yaml:7:63: profiles[0].plugins.filter.disabled[0].name: there is no plugin "Typo"; there are SchedulingGates, PrioritySort, NodeUnschedulable, NodeName, TaintToleration, NodeAffinity, NodePorts, NodeResourcesFit, VolumeBinding, PodTopologySpread, InterPodAffinity, DefaultPreemption, NodeResourcesBalancedAllocation, ImageLocality, DefaultBinder
            sched.yaml:6:30: profiles[0].plugins.score.enabled[0].name: plugin "NodeName" does not extend score plugin
            sched.yaml:6:66: profiles[0].plugins.score.enabled[1].weight: -1 is not in the range from 0 to 2147483647
            sched.yaml:6:48: profiles[0].plugins.score.enabled[1].name: there is no plugin "Nonsense"; there are SchedulingGates, PrioritySort, NodeUnschedulable, NodeName, TaintToleration, NodeAffinity, NodePorts, NodeResourcesFit, VolumeBinding, PodTopologySpread, InterPodAffinity, DefaultPreemption, NodeResourcesBalancedAllocation, ImageLocality, DefaultBinder
            sched.yaml:9:11: profiles[0].plugins.bind: at least one bind plugin is needed: DefaultBinder
            sched.yaml:8:16: profiles[0].plugins.preFilter: the filter of NodePorts is on, and needs its preFilter
            sched.yaml:5:3: profiles: two profiles are called "a"
        "#]],
    );
    errors("
profiles:
- pluginConfig:
  - name: NodeResourcesFit
    args:
      scoringStrategy:
        type: RequestedToCapacityRatio
        requestedToCapacityRatio: {shape: [{utilization: 50, score: 11}, {utilization: 40, score: 0}]}
        resources: [{name: cpu, weight: 101}, {name: cpu}]
  - name: InterPodAffinity
    args: {hardPodAffinityWeight: 101, kind: OtherArgs}
  - name: NodeAffinity
    args: {addedAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Like, value: x}]}]}}}
  - name: PodTopologySpread
    args: {defaultConstraints: [{maxSkew: 0, topologyKey: '', whenUnsatisfiable: Never, labelSelector: {}}]}
  - name: DefaultBinder
    args: {}
  - name: VolumeZone
", expect![[r#"
    sched.yaml:10:69: profiles[0].pluginConfig[0].args.scoringStrategy.requestedToCapacityRatio.shape[0].score: 11 is not in the range from 0 to 10
    sched.yaml:10:88: profiles[0].pluginConfig[0].args.scoringStrategy.requestedToCapacityRatio.shape[1].utilization: values must be sorted in increasing order
    sched.yaml:11:41: profiles[0].pluginConfig[0].args.scoringStrategy.resources[0].weight: 101 is not in the range from 0 to 100
    sched.yaml:11:54: profiles[0].pluginConfig[0].args.scoringStrategy.resources[1].name: "cpu" is there twice
    sched.yaml:13:46: profiles[0].pluginConfig[1].args.kind: is "OtherArgs", and must be "InterPodAffinityArgs"
    sched.yaml:13:35: profiles[0].pluginConfig[1].args.hardPodAffinityWeight: 101 is not in the range from 0 to 100
    sched.yaml:15:142: profiles[0].pluginConfig[2].args.addedAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].value: there is no such field
    sched.yaml:15:76: profiles[0].pluginConfig[2].args.addedAffinity.requiredDuringSchedulingIgnoredDuringExecution: "Like" is not a valid label selector operator
    sched.yaml:17:43: profiles[0].pluginConfig[3].args.defaultConstraints[0].maxSkew: 0 is not in the range from 1 to 2147483647
    sched.yaml:17:59: profiles[0].pluginConfig[3].args.defaultConstraints[0].topologyKey: can not be empty
    sched.yaml:17:104: profiles[0].pluginConfig[3].args.defaultConstraints[0].labelSelector: constraint must not define a selector, as they deduced for each pod
    sched.yaml:17:82: profiles[0].pluginConfig[3].args.defaultConstraints[0].whenUnsatisfiable: whenUnsatisfiable "Never" is not known
    sched.yaml:18:11: profiles[0].pluginConfig[4].name: plugin "DefaultBinder" takes no arguments
    sched.yaml:20:11: profiles[0].pluginConfig[5].name: plugin "VolumeZone" is not part of this scheduler
"#]]);
}

#[test]
fn what_is_no_configuration_is_refused() {
    let error = |text: &str| format!("{}\n", Config::parse("c.yaml", text).unwrap_err());
    expect![[r#"
        c.yaml: there is no document
    "#]]
    .assert_eq(&error(""));
    expect![[r#"
        c.yaml:1:13: apiVersion: is "kubescheduler.config.k8s.io/v1beta3", and must be "kubescheduler.config.k8s.io/v1"
    "#]].assert_eq(&error(
        "apiVersion: kubescheduler.config.k8s.io/v1beta3\nkind: KubeSchedulerConfiguration\n",
    ));
    expect![[r#"
        c.yaml:2:1: a[0]: a value is missing here
    "#]]
    .assert_eq(&error("a: [\n"));
    expect![[r#"
        c.yaml:1:1: must be a mapping, not a list
    "#]]
    .assert_eq(&error("- 1\n"));
    expect![[r#"
        c.yaml:3:1: there must be only one document
    "#]]
    .assert_eq(&error("a: 1\n---\nb: 2\n"));
}
