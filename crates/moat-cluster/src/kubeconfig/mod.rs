//! Kubeconfig files: read, changed beside other programs that change them, and written so that nobody else can read keys.

mod edit;

pub use edit::{Context, Taken, add, alone, remove};

use moat_load::{Input, load};
use serde_json::Value;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long another program may hold the file's lock. kubectl holds it for milliseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// Why a kubeconfig could not be changed; it is as it was.
#[derive(Debug)]
pub struct KubeconfigError {
    path: PathBuf,
    why: String,
}

impl fmt::Display for KubeconfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}

impl std::error::Error for KubeconfigError {}

/// The file that `kubectl` would change: the first of `$KUBECONFIG` that exists, else the first of it, else `~/.kube/config`.
pub fn default_path(kubeconfig: Option<&str>, home: Option<&Path>) -> Option<PathBuf> {
    let listed: Vec<PathBuf> = kubeconfig
        .unwrap_or_default()
        .split(':')
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .collect();
    let existing = listed.iter().find(|path| path.exists()).or(listed.first());
    existing.cloned().or_else(|| Some(home?.join(".kube/config")))
}

/// Reads a kubeconfig, lets it be changed, and puts it in the file's place if it changed.
///
/// Errors: the file cannot be read, is not a kubeconfig, is locked by another program for seconds, or cannot be written.
pub fn change<T>(
    path: &Path,
    edit: impl FnOnce(&mut Value) -> Result<T, String>,
) -> Result<T, KubeconfigError> {
    let fail = |why: String| KubeconfigError { path: path.to_owned(), why };
    // A link stays a link, and what it leads to is written.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Some(dir) = target.parent() {
        std::fs::create_dir_all(dir).map_err(|error| fail(error.to_string()))?;
    }
    let _lock = Lock::take(&target).map_err(&fail)?;
    let before = read(&target).map_err(&fail)?;
    let mut config = before.clone();
    let answer = edit(&mut config).map_err(&fail)?;
    if config != before {
        write(&target, &moat_report::yaml::render(&config))
            .map_err(|error| fail(error.to_string()))?;
    }
    Ok(answer)
}

/// The kubeconfig of a file; nothing where there is no file.
fn read(path: &Path) -> Result<Value, String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Value::Null),
        Err(error) => return Err(error.to_string()),
    };
    let loaded = load(&[Input::Text { name: path.display().to_string(), text }]);
    if let Some(finding) = loaded.diagnostics.first() {
        return Err(format!("line {}: {}", finding.span.pos.line, finding.message));
    }
    match loaded.documents.as_slice() {
        [] => Ok(Value::Null),
        [only] => match Value::from(&only.value) {
            config @ Value::Object(_) => Ok(config),
            _ => Err("not a kubeconfig: it is no map".to_owned()),
        },
        _ => Err("not a kubeconfig: it has several documents".to_owned()),
    }
}

/// Writes beside and renames, so that a reader sees the old file or the new one, and only the owner sees either.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

/// The lock that kubectl takes, too: a file beside, made if it is not there.
struct Lock(PathBuf);

impl Lock {
    fn take(path: &Path) -> Result<Self, String> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let lock = path.with_file_name(format!("{name}.lock"));
        let began = Instant::now();
        loop {
            match File::create_new(&lock) {
                Ok(_) => return Ok(Self(lock)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if began.elapsed() > LOCK_PATIENCE {
                        return Err(format!(
                            "another program has it locked; if none has, remove {}",
                            lock.display()
                        ));
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
