//! A directory of the file system, held by one process at a time.

use super::{Disk, DiskFile};
use crate::error::OpenError;
use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The file whose lock says that the directory is in use, and whose text says by whom.
const LOCK: &str = "LOCK";

/// A directory that is this process's own as long as this lives. The kernel ends the lock with the process, however that ends;
/// but a child that was forked while this was open, and did not become another program, holds it on. Fork such helpers first.
#[derive(Debug)]
pub struct RealDisk {
    dir: PathBuf,
    /// For syncing names.
    handle: File,
    _lock: File,
}

impl RealDisk {
    /// Takes a directory, and makes it if needed, for its owner only: what is stored includes secrets.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let io = |what: &str| {
            let what = format!("{what} `{}`", dir.display());
            move |error| OpenError::Io { what, error }
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(io("cannot make the directory"))?;
        // The directory's own name is in its parent; one that cannot be opened is not ours, and had the name before.
        if let Some(parent) = dir.canonicalize().ok().as_deref().and_then(Path::parent)
            && let Ok(parent) = File::open(parent)
        {
            parent.sync_all().map_err(io("cannot sync the parent of"))?;
        }
        let lock = Self::lock(dir)?;
        let handle = File::open(dir).map_err(io("cannot open the directory"))?;
        Ok(Self { dir: dir.to_owned(), handle, _lock: lock })
    }

    fn lock(dir: &Path) -> Result<File, OpenError> {
        let path = dir.join(LOCK);
        let io = |error| OpenError::Io { what: format!("cannot lock `{}`", path.display()), error };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who it is helps, but that it is somebody is enough.
                let _ = file.read_to_string(&mut holder);
                return Err(OpenError::InUse {
                    dir: dir.display().to_string(),
                    holder: holder.trim().to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        // A full disk must not keep a store from being read, so the text is written if it can be.
        let program = std::env::args().next().unwrap_or_default();
        let _ = file
            .set_len(0)
            .and_then(|()| writeln!(file, "process {} ({program})", std::process::id()));
        Ok(file)
    }
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        Ok(Box::new(RealFile(options.open(self.dir.join(name))?)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.dir.join(name))?;
        Ok(Box::new(RealFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.dir.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn describe(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn nonce(&self) -> u64 {
        RandomState::new().hash_one(std::process::id())
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut n_read = 0;
        while let Some(rest) = into.get_mut(n_read..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, offset + n_read as u64) {
                Ok(0) => break,
                Ok(n) => n_read += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(n_read)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        // The length is synced too where it changed; only times are not.
        self.0.sync_data()
    }
}
