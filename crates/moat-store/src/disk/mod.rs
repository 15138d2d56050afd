//! The disk as the store needs it: so little that a simulated one can be wrong in every way a real one can.

mod real;
pub mod simulated;

pub use real::RealDisk;

use std::fmt::Debug;
use std::io;

/// A directory of files. What a call that failed left behind is unknown, until a later one that succeeded says.
pub trait Disk: Debug + Send + Sync {
    /// Names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes a file, empty even if there was one.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file that is there.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name, in place of one that had it. All or nothing, even when the machine stops.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes what was created, renamed and removed survive a stop of the machine.
    fn sync_names(&self) -> io::Result<()>;
    /// How messages call a file.
    fn describe(&self, name: &str) -> String;
    /// A number that nobody can guess; a file that begins with it cannot be forged by what is stored in it.
    fn nonce(&self) -> u64;
}

/// An open file.
pub trait DiskFile: Debug + Send {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Reads at an offset; fewer bytes than wanted only at the end of the file.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Writes all bytes at an offset. After an error any of them may be there.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the file to a length.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
    /// Makes what was written survive a stop of the machine. After an error any of it may survive, or none.
    fn sync(&mut self) -> io::Result<()>;
    /// Whether there is nothing in it.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}
