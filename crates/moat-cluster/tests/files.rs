//! The user's kubeconfig and a cluster's directory on a real disk, and a machine that joins a cluster.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use moat_apiserver::Gvr;
use moat_cluster::control::Ask;
use moat_cluster::home::{Home, STATE_SCHEMA, State};
use moat_cluster::join::{Wanted, join};
use moat_cluster::kubeconfig::{Context, add, change, default_path, remove};
use moat_cluster::token::Join;
use moat_cluster::{Cluster, Options};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

static NODES: Gvr = Gvr::new("", "v1", "nodes");
static INFO: Gvr = Gvr::new("", "v1", "configmaps");

/// A directory that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("moat-cluster-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn context(name: &str) -> Context {
    Context {
        name: name.to_owned(),
        server: "https://127.0.0.1:6443".to_owned(),
        authority: "CA".to_owned(),
        certificate: "CERT".to_owned(),
        key: "KEY".to_owned(),
    }
}

fn put(path: &Path, name: &str) -> Option<String> {
    change(path, |config| add(config, &context(name)).map_err(|_| "taken".to_owned())).unwrap()
}

const OTHERS: &str = "\
apiVersion: v1
kind: Config
clusters:
- {name: prod, cluster: {server: https://prod.example.com}}
contexts:
- name: prod
  context: {cluster: prod, user: me}
current-context: prod
users:
- name: me
  user:
    exec: {command: get-token, args: [--for, \"yes\"], env: null}
";

#[test]
fn a_kubeconfig_gains_a_context_and_loses_it_again() {
    let dir = Dir::new("gain");
    let (real, link) = (dir.at("real"), dir.at("config"));
    std::fs::write(&real, OTHERS).unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o644)).unwrap();
    symlink(&real, &link).unwrap();
    assert_eq!(put(&link, "moat"), Some("prod".to_owned()));
    assert!(link.is_symlink(), "what was a link stays one");
    let mode = std::fs::metadata(&real).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "there is a key in it now");
    change(&link, |config| Ok(remove(config, "moat", Some("prod")))).unwrap();
    expect_test::expect![[r#"
        apiVersion: v1
        kind: Config
        clusters:
          - name: prod
            cluster:
              server: "https://prod.example.com"
        contexts:
          - name: prod
            context:
              cluster: prod
              user: me
        current-context: prod
        users:
          - name: me
            user:
              exec:
                command: get-token
                args:
                  - "--for"
                  - "yes"
                env: null
    "#]]
    .assert_eq(&std::fs::read_to_string(&real).unwrap());
    assert_eq!(
        std::fs::read_dir(&dir.0).unwrap().count(),
        2,
        "no lock and no half-written file is left"
    );
}

#[test]
fn a_file_that_is_not_there_is_made_with_its_directory() {
    let dir = Dir::new("made");
    let path = dir.at("home/.kube/config");
    assert_eq!(put(&path, "moat"), None);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_cannot_be_understood_is_left_as_it_is() {
    let dir = Dir::new("odd");
    let path = dir.at("config");
    for text in ["a: [1\nb: 2\n", "- a\n", "a: 1\n---\nb: 2\n"] {
        std::fs::write(&path, text).unwrap();
        let error =
            change(&path, |config| add(config, &context("moat")).map_err(|_| "taken".to_owned()));
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(path.to_str().unwrap()), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{error}");
    }
}

#[test]
fn many_at_once_lose_nothing() {
    let dir = Dir::new("many");
    let path = dir.at("config");
    std::thread::scope(|scope| {
        for at in 0..8 {
            let path = &path;
            scope.spawn(move || put(path, &format!("moat-{at}")));
        }
    });
    let names = change(&path, |config| Ok(config["contexts"].as_array().map_or(0, Vec::len)));
    assert_eq!(names.unwrap(), 8);
}

#[test]
fn the_file_that_kubectl_would_change() {
    let dir = Dir::new("which");
    let (one, two) = (dir.at("one"), dir.at("two"));
    std::fs::write(&two, "").unwrap();
    let list = format!(":{}:{}", one.display(), two.display());
    assert_eq!(default_path(Some(&list), None), Some(two.clone()));
    std::fs::remove_file(&two).unwrap();
    assert_eq!(default_path(Some(&list), None), Some(one));
    assert_eq!(default_path(Some(""), Some(&dir.0)), Some(dir.at(".kube/config")));
    assert_eq!(default_path(None, None), None);
}

#[test]
fn a_lock_says_who_runs_and_what_was_left_is_cleared() {
    let dir = Dir::new("home");
    let home = Home::new(&dir.0, "ci").unwrap();
    assert!(!home.is_running());
    assert_eq!(home.state(), None);
    let config = dir.at("config");
    std::fs::write(&config, OTHERS).unwrap();
    let before = put(&config, "ci");
    let lock = home.lock().unwrap().unwrap();
    assert!(home.is_running());
    assert!(home.lock().unwrap().is_none(), "a second one is turned away");
    assert!(!home.wait_until_down(Duration::from_millis(20)));
    let state = State {
        schema: STATE_SCHEMA.to_owned(),
        pid: 1,
        url: "https://127.0.0.1:1".to_owned(),
        started: "2026-01-01T00:00:00Z".to_owned(),
        data_dir: None,
        kubeconfig: Some(config.clone()),
        context_before: before,
    };
    home.write_state(&state).unwrap();
    assert_eq!(home.state(), Some(state));
    drop(lock);
    assert!(home.wait_until_down(Duration::ZERO));
    home.clear().unwrap();
    assert_eq!(home.state(), None);
    let left = change(&config, |config| Ok(config["current-context"].clone())).unwrap();
    assert_eq!(left, "prod");
    assert_eq!(Home::all(&dir.0), std::slice::from_ref(&home));
    home.remove().unwrap();
    assert_eq!(Home::all(&dir.0), []);
}

/// The same through the commands is in the tests of the binary; here is what a machine is told, and what it does not believe.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_joins_the_cluster_that_it_was_told_of() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let made = async |ttl: u64| -> Join {
        let ask = Ask::TokenCreate { ttl, description: String::new() };
        serde_json::from_value(cluster.answer(ask).await.unwrap()).unwrap()
    };
    let told = made(3600).await;
    let port = told.server.rsplit(':').next().unwrap().to_owned();
    let want = format!(
        "moat join 127.0.0.1:{port} --token {} --discovery-token-ca-cert-hash {}",
        told.token.token, told.ca_cert_hash
    );
    assert_eq!(told.command(), want);
    let wanted = |token: &str, hash: &str, node: &str| {
        Wanted::new(&told.server, token, &[hash.to_owned()], node).unwrap()
    };
    let joined = join(&wanted(&told.token.token, &told.ca_cert_hash, "worker-1")).await.unwrap();
    assert_eq!(joined.server, format!("https://127.0.0.1:{port}"));
    let node = cluster.client().get(NODES.at("", "worker-1")).await.unwrap();
    let conditions = node["status"]["conditions"].as_array().unwrap();
    let ready = conditions.iter().find(|one| one["type"] == "Ready").unwrap();
    assert_eq!((&ready["status"], &ready["reason"]), (&"False".into(), &"NoNodeAgent".into()));

    let why = async |token: &str, hash: &str, node: &str| {
        let why = join(&wanted(token, hash, node)).await.unwrap_err();
        why.replace(&port, "PORT").replace(&token[..6], "ID").replace(&told.ca_cert_hash, "HASH")
    };
    let short = made(1).await.token.token;
    let token = &told.token.token;
    let mut all = Vec::new();
    all.push(why(token, &format!("sha256:{}", "0".repeat(64)), "worker-2").await);
    let forged = format!("{}0123456789abcdef", &token[..7]);
    all.push(why(&forged, &told.ca_cert_hash, "worker-2").await);
    all.push(why(token, &told.ca_cert_hash, "worker-1").await);
    // Tokens that have ended are deleted, whether or not anybody asks for them.
    let secrets = || moat_cluster::token::list(&cluster.client()).unwrap();
    let gone = async {
        while secrets().iter().any(|one| one.token == short) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), gone).await.unwrap();
    all.push(why(&short, &told.ca_cert_hash, "worker-2").await);
    let signed = async |id: &str| {
        let info = cluster.client().get(INFO.at("kube-public", "cluster-info")).await.unwrap();
        info["data"].get(format!("jws-kubeconfig-{id}")).is_some()
    };
    assert!(signed(&token[..6]).await && !signed(&short[..6]).await);
    expect_test::expect![[r#"
        the cluster's authority is another one: its hash is HASH
        what answers there knows a token of that name, and not this one's secret
        the cluster has a node "worker-1" already: choose another name
        the cluster knows no token ID: it may have ended; `moat token create --print-join-command` makes another"#]].assert_eq(&all.join("\n"));
    assert!(cluster.client().get(NODES.at("", "worker-2")).await.is_err());
    cluster.shutdown().await;
}
