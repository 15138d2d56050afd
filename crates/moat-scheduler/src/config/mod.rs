//! `KubeSchedulerConfiguration` v1: read strictly. Every error names file, line and field; nothing is left out in silence.

mod args;
mod plugins;
mod reader;

use crate::profile::Profile;
use reader::{Fields, Reader};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// What the scheduler is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The profiles, with different scheduler names.
    pub profiles: Vec<Profile>,
    /// How long a pod that could not be scheduled waits at first; doubled by each further attempt.
    pub backoff_first: Duration,
    /// How long it waits at most.
    pub backoff_max: Duration,
    /// How many pods are bound at the same time.
    pub parallelism: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            profiles: vec![Profile::default()],
            backoff_first: Duration::from_secs(1),
            backoff_max: Duration::from_secs(10),
            parallelism: BINDINGS,
        }
    }
}

/// Bindings under way unless the configuration says otherwise: the store writes them together.
const BINDINGS: usize = 256;

/// Everything that is wrong with a configuration, each with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads a configuration in YAML or JSON. `file` is what errors call it.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let input = moat_load::Input::Text { name: file.to_owned(), text: text.to_owned() };
        let loaded = moat_load::load(&[input]);
        let mut reader = Reader::new(file);
        for problem in loaded.diagnostics {
            reader.error(problem.span.pos, &problem.path, &problem.message);
        }
        let mut config = Self::default();
        match loaded.documents.as_slice() {
            [only] => config = Self::read(&mut reader, &only.value),
            [] if reader.errors.is_empty() => {
                reader.error(moat_model::Pos::default(), "", "there is no document");
            }
            [] => {}
            [_, second, ..] => {
                reader.error(second.value.pos, "", "there must be only one document");
            }
        }
        if reader.errors.is_empty() { Ok(config) } else { Err(ConfigError(reader.errors)) }
    }

    fn read(reader: &mut Reader, value: &moat_model::Value) -> Self {
        let mut config = Self::default();
        let Some(mut fields) = Fields::of(reader, value, "") else { return config };
        for (field, want) in [
            ("apiVersion", "kubescheduler.config.k8s.io/v1"),
            ("kind", "KubeSchedulerConfiguration"),
        ] {
            let found = fields.text(reader, field).unwrap_or_default();
            if found != want {
                fields.wrong(reader, field, &format!("is {found:?}, and must be {want:?}"));
            }
        }
        if let Some(parallelism) = fields.int(reader, "parallelism", 1, i64::from(i32::MAX)) {
            config.parallelism = usize::try_from(parallelism).unwrap_or(BINDINGS);
        }
        let percentage = fields.int(reader, "percentageOfNodesToScore", 0, 100);
        let seconds = |reader: &mut Reader, fields: &mut Fields<'_>, field, default: Duration| {
            let given = fields.int(reader, field, 1, i64::from(i32::MAX));
            given.and_then(|given| u64::try_from(given).ok()).map_or(default, Duration::from_secs)
        };
        config.backoff_first =
            seconds(reader, &mut fields, "podInitialBackoffSeconds", config.backoff_first);
        config.backoff_max =
            seconds(reader, &mut fields, "podMaxBackoffSeconds", config.backoff_max);
        if config.backoff_max < config.backoff_first {
            let why = "must not be less than podInitialBackoffSeconds";
            fields.wrong(reader, "podMaxBackoffSeconds", why);
        }
        not_here(reader, &mut fields);
        let profiles = fields.list(reader, "profiles");
        if let Some((profiles, path)) = profiles.filter(|(profiles, _)| !profiles.is_empty()) {
            let alone = profiles.len() == 1;
            config.profiles = (profiles.iter().enumerate())
                .filter_map(|(at, value)| profile(reader, value, &format!("{path}[{at}]"), alone))
                .collect();
        }
        let mut names = BTreeSet::new();
        for profile in &config.profiles {
            if !names.insert(&profile.scheduler_name) {
                let why = format!("two profiles are called {:?}", profile.scheduler_name);
                fields.wrong(reader, "profiles", &why);
            }
        }
        for profile in &mut config.profiles {
            if profile.percentage < 0 {
                profile.percentage =
                    percentage.and_then(|given| i32::try_from(given).ok()).unwrap_or(0);
            }
        }
        fields.finish(reader);
        config
    }
}

/// Fields that a scheduler inside the server has no use for: what asks for something is an error, what turns it off is not.
fn not_here(reader: &mut Reader, fields: &mut Fields<'_>) {
    for (field, why) in [
        ("enableProfiling", "profiling is not offered"),
        ("enableContentionProfiling", "profiling is not offered"),
        ("delayCacheUntilActive", "there is no leader election to wait for"),
    ] {
        if fields.bool(reader, field) == Some(true) {
            fields.wrong(reader, field, &format!("is not supported: {why}"));
        }
    }
    if fields.list(reader, "extenders").is_some_and(|(extenders, _)| !extenders.is_empty()) {
        fields.wrong(reader, "extenders", "is not supported: the scheduler calls nobody");
    }
    if fields.take("clientConnection").is_some() {
        let why = "is not supported: the scheduler runs inside the server and connects to nothing";
        fields.wrong(reader, "clientConnection", why);
    }
    if let Some(value) = fields.take("leaderElection") {
        let Some(mut election) = Fields::of(reader, value, "leaderElection") else { return };
        if election.bool(reader, "leaderElect") != Some(false) {
            let why = "must be false: there is one scheduler, inside the server";
            election.wrong(reader, "leaderElect", why);
        }
        // With leaderElect false they mean nothing upstream either.
        for field in [
            "leaseDuration",
            "renewDeadline",
            "retryPeriod",
            "resourceLock",
            "resourceName",
            "resourceNamespace",
        ] {
            election.take(field);
        }
        election.finish(reader);
    }
}

fn profile(
    reader: &mut Reader,
    value: &moat_model::Value,
    path: &str,
    alone: bool,
) -> Option<Profile> {
    let mut fields = Fields::of(reader, value, path)?;
    let mut profile = Profile::default();
    match fields.text(reader, "schedulerName") {
        Some(name) if !name.is_empty() => name.clone_into(&mut profile.scheduler_name),
        Some(_) => fields.wrong(reader, "schedulerName", "must not be empty"),
        None if alone => {}
        None => fields.wrong(reader, "schedulerName", "is needed where there are several profiles"),
    }
    let percentage = fields.int(reader, "percentageOfNodesToScore", 0, 100);
    // Less than nothing stands for what all profiles have.
    profile.percentage = percentage.and_then(|given| i32::try_from(given).ok()).unwrap_or(-1);
    let set = fields.take("plugins");
    plugins::read(reader, set, &format!("{path}.plugins"), &mut profile);
    if let Some((all, path)) = fields.list(reader, "pluginConfig") {
        let mut seen = BTreeSet::new();
        for (at, value) in all.iter().enumerate() {
            let path = format!("{path}[{at}]");
            let Some(mut fields) = Fields::of(reader, value, &path) else { continue };
            let name = fields.text(reader, "name").unwrap_or_default();
            if !seen.insert(name) {
                fields.wrong(reader, "name", &format!("{name:?} is configured twice"));
            }
            match fields.take("args") {
                Some(value) => {
                    args::read(
                        reader,
                        name,
                        value,
                        &format!("{path}.args"),
                        &fields,
                        &mut profile.args,
                    );
                }
                None => args::no_args(reader, name, &fields),
            }
            fields.finish(reader);
        }
    }
    fields.finish(reader);
    Some(profile)
}
