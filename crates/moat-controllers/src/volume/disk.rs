//! Where the volumes are that are made here: a directory each, below one that is theirs alone.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The directory of volumes.
#[derive(Clone, Debug)]
pub(super) struct Disk(PathBuf);

impl Disk {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self(dir)
    }

    /// Where a volume is; nothing where the name would lead elsewhere.
    pub(super) fn at(&self, volume: &str) -> Option<PathBuf> {
        let plain = !volume.is_empty() && volume != "." && volume != ".." && !volume.contains('/');
        plain.then(|| self.0.join(volume))
    }
}

/// Makes a volume's directory, which every container may write to.
pub(super) async fn make(path: &Path) -> io::Result<()> {
    let path = path.to_owned();
    aside(move || {
        std::fs::create_dir_all(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777))
    })
    .await
}

/// Removes it with all that is in it.
pub(super) async fn remove(path: &Path) -> io::Result<()> {
    let path = path.to_owned();
    let removed = aside(move || std::fs::remove_dir_all(&path)).await;
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// A disk may take its time.
async fn aside(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(io::Error::other(error)),
    }
}
