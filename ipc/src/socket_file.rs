//! The file of a bound Unix socket, and the file beside it that says that the receiver reads our extension. Either may
//! remain after its process has ended, or be replaced by the next life.
//!
//! Senders never receive anything from their receiver. They read these files to learn what kind of process it is, and
//! that it was replaced.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sglang_proto::wire::extension;

/// Removes its files when dropped, unless a successor has replaced them.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl SocketFile {
    /// Listens at `path`, replacing any existing file.
    ///
    /// Binds the socket under another name and renames it. So there is always a file at `path`; and the ZeroMQ library,
    /// which deletes the name it has bound some time after the socket was dropped, cannot delete a successor's file.
    pub(crate) fn bind(path: &Path) -> io::Result<(Self, UnixListener)> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let temporary = PathBuf::from(name);
        // Left by a process with the same process id that died before it renamed the file.
        let _ = std::fs::remove_file(&temporary);
        let listener = UnixListener::bind(&temporary)?;
        std::fs::set_permissions(&temporary, PermissionsExt::from_mode(0o600))?;
        let inode = std::fs::metadata(&temporary)?.ino();
        // Write the version file before the socket appears, so that whoever connects finds both.
        let note = temporary.with_extension("version");
        std::fs::write(&note, format!("{} {inode} {:x}\n", extension::VERSION, random()))?;
        std::fs::rename(&note, version_file(path))?;
        std::fs::rename(&temporary, path)?;
        Ok((Self { path: path.to_owned(), inode }, listener))
    }
}

/// Distinguishes sockets: inodes are reused.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn version_file(socket: &Path) -> PathBuf {
    socket.with_extension("version")
}

/// The receiver at a socket's path, as a sender sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    inode: Option<u64>,
    /// Content of the version file, if it is about this socket.
    note: Option<String>,
    /// The version file is about another socket: one of the two is about to be replaced.
    torn: bool,
}

impl Standing {
    /// Reads the files of the socket at `path`.
    pub fn of(path: &Path) -> Self {
        let note = std::fs::read_to_string(version_file(path)).ok();
        let inode = std::fs::metadata(path).ok().map(|found| found.ino());
        let about = note.as_deref().and_then(|note| note.split(' ').nth(1)?.parse::<u64>().ok());
        let matches = about.is_some() && about == inode;
        Self { inode, torn: note.is_some() && !matches, note: note.filter(|_| matches) }
    }

    /// Whether the files do not belong together; reading them again a moment later may help.
    pub fn is_torn(&self) -> bool {
        self.torn
    }

    /// Whether the receiver reads our extension.
    pub fn reads_extension(&self) -> bool {
        let version = self.note.as_deref().and_then(|note| note.split(' ').next()?.parse::<u8>().ok());
        version == Some(extension::VERSION)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if std::fs::metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            // Errors do not matter: the next life replaces files that remain.
            let _ = std::fs::remove_file(version_file(&self.path));
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_sees_what_its_receiver_is_and_that_another_has_come() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokenizer.sock");
        assert_eq!(Standing::of(&path), Standing::default());
        let (first, _listener) = SocketFile::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let seen = Standing::of(&path);
        assert!(seen.reads_extension() && !seen.is_torn());
        assert_eq!(Standing::of(&path), seen);
        let (second, _other) = SocketFile::bind(&path).unwrap();
        assert_ne!(Standing::of(&path), seen);
        drop(first);
        assert!(Standing::of(&path).reads_extension(), "the first leaves the files of the second alone");
        drop(second);
        assert_eq!(Standing::of(&path), Standing::default());
    }

    #[test]
    fn a_receiver_without_a_note_or_with_anothers_does_not_read_the_extension() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokenizer.sock");
        let (ours, _listener) = SocketFile::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let _foreign = UnixListener::bind(&path).unwrap();
        let _other = UnixListener::bind(dir.path().join("x.sock")).unwrap();
        let seen = Standing::of(&path);
        if std::fs::metadata(&path).unwrap().ino() != ours.inode {
            assert!(!seen.reads_extension() && seen.is_torn());
        }
        std::fs::remove_file(version_file(&path)).unwrap();
        assert!(!Standing::of(&path).reads_extension());
        std::fs::write(version_file(&path), "2 0 0\n").unwrap();
        assert!(!Standing::of(&path).reads_extension());
    }
}
