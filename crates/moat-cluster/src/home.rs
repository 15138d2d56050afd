//! Where a running cluster is found again: a directory of its own for each name, with a lock, a socket, a kubeconfig and what it said of itself.
//!
//! The lock is an advisory lock on a file and goes with the process, however that ends; so "is it running" is never asked of a process id
//! that may long be somebody else's.

use crate::kubeconfig;
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes of a name: it is part of a socket's path, which has 108.
const NAME_MAX: usize = 40;

/// The directory of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The cluster's name.
    pub name: String,
    dir: PathBuf,
}

/// What a cluster says of itself when it starts, for those who come after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// `moat.dev/cluster-state/v1`.
    pub schema: String,
    /// Its process.
    pub pid: u32,
    /// Where its API server is.
    pub url: String,
    /// When it started, RFC 3339.
    pub started: String,
    /// Where its objects are, if they are kept.
    pub data_dir: Option<PathBuf>,
    /// The kubeconfig that it was put into, if any.
    pub kubeconfig: Option<PathBuf>,
    /// The context that was current there before.
    pub context_before: Option<String>,
}

/// The schema of [`State`].
pub const STATE_SCHEMA: &str = "moat.dev/cluster-state/v1";

/// Held as long as the cluster runs.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock goes when the file is closed")] File);

impl Home {
    /// The directory of the cluster `name` below `root`.
    ///
    /// Errors: the name is no DNS label, or too long.
    pub fn new(root: &Path, name: &str) -> Result<Self, String> {
        let letter = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
        let fits = name.len() <= NAME_MAX
            && name.starts_with(letter)
            && name.ends_with(letter)
            && name.chars().all(|char| letter(char) || char == '-');
        if !fits {
            return Err(format!(
                "{name:?} cannot be a cluster's name: use up to {NAME_MAX} lower-case letters, digits and '-'"
            ));
        }
        Ok(Self { name: name.to_owned(), dir: root.join(name) })
    }

    /// Where all clusters of a user have their directories: `$XDG_STATE_HOME/moat`, or `~/.local/state/moat`.
    pub fn root(state_home: Option<&Path>, home: Option<&Path>) -> Option<PathBuf> {
        let state_home = state_home.filter(|path| path.is_absolute()).map(Path::to_owned);
        let state_home = state_home.or_else(|| Some(home?.join(".local/state")))?;
        Some(state_home.join("moat"))
    }

    /// The names of all clusters that have a directory, in order.
    pub fn all(root: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
        let mut found: Vec<Self> = entries
            .filter_map(|entry| Self::new(root, entry.file_name().to_str()?).ok())
            .filter(|home| home.dir.is_dir())
            .collect();
        found.sort_by(|one, other| one.name.cmp(&other.name));
        found
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The socket on which the cluster answers.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("control.sock")
    }

    /// A kubeconfig with this cluster alone.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// Where a cluster without a terminal writes what it has to say.
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    fn state_path(&self) -> PathBuf {
        self.dir.join("state.json")
    }

    /// Makes the directory, for its owner alone, and takes the lock; nothing if a cluster of that name runs.
    pub fn lock(&self) -> io::Result<Option<Lock>> {
        std::fs::create_dir_all(&self.dir)?;
        std::fs::set_permissions(&self.dir, std::fs::Permissions::from_mode(0o700))?;
        let file =
            File::options().create(true).truncate(false).write(true).open(self.dir.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether a process holds the lock.
    pub fn is_running(&self) -> bool {
        let Ok(file) = File::options().write(true).open(self.dir.join("lock")) else {
            return false;
        };
        matches!(file.try_lock(), Err(TryLockError::WouldBlock))
    }

    /// Waits until no process holds the lock; says whether that came to be.
    pub fn wait_until_down(&self, patience: Duration) -> bool {
        let began = Instant::now();
        while self.is_running() {
            if began.elapsed() > patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// What the cluster said of itself when it last started; nothing if it never did, or cannot be read.
    pub fn state(&self) -> Option<State> {
        let text = std::fs::read_to_string(self.state_path()).ok()?;
        let state: State = serde_json::from_str(&text).ok()?;
        (state.schema == STATE_SCHEMA).then_some(state)
    }

    /// Writes it.
    pub fn write_state(&self, state: &State) -> io::Result<()> {
        let text = serde_json::to_string_pretty(state)?;
        kubeconfig::write(&self.state_path(), &format!("{text}\n"))
    }

    /// Takes the context out of the user's kubeconfig and forgets what the cluster said of itself. Call it when the cluster is down, by
    /// whatever way.
    ///
    /// Errors: the kubeconfig cannot be changed.
    pub fn clear(&self) -> Result<(), kubeconfig::KubeconfigError> {
        if let Some(state) = self.state()
            && let Some(path) = &state.kubeconfig
        {
            kubeconfig::change(path, |config| {
                kubeconfig::remove(config, &self.name, state.context_before.as_deref());
                Ok(())
            })?;
        }
        for path in [self.state_path(), self.socket(), self.kubeconfig()] {
            let _ = std::fs::remove_file(path);
        }
        Ok(())
    }

    /// Removes the directory with all in it.
    pub fn remove(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels() {
        let root = Path::new("/state");
        for good in ["moat", "ci-7", "a", "0"] {
            assert!(Home::new(root, good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "../x", "a/b", &"x".repeat(41)] {
            assert!(Home::new(root, bad).is_err(), "{bad}");
        }
        assert_eq!(
            Home::root(None, Some(Path::new("/home/me"))),
            Some("/home/me/.local/state/moat".into())
        );
        assert_eq!(
            Home::root(Some(Path::new("/s")), Some(Path::new("/home/me"))),
            Some("/s/moat".into())
        );
        assert_eq!(Home::root(Some(Path::new("relative")), None), None);
    }
}
