//! The file of a bound Unix socket, which may outlive or replace that of another life of its process.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Removes its file when dropped, unless a successor has put its own in that place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl SocketFile {
    /// Listens at `path`, taking the place of whatever file is there.
    ///
    /// The socket is bound under another name and moved: there is no moment without a file, and the ZeroMQ library,
    /// which deletes the name it was bound to some time after the socket was dropped, cannot delete a successor's.
    pub(crate) fn bind(path: &Path) -> io::Result<(Self, UnixListener)> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let temporary = PathBuf::from(name);
        // Left by a process that had the same id and died between the next two lines.
        let _ = std::fs::remove_file(&temporary);
        let listener = UnixListener::bind(&temporary)?;
        let inode = std::fs::metadata(&temporary)?.ino();
        std::fs::rename(&temporary, path)?;
        Ok((Self { path: path.to_owned(), inode }, listener))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if std::fs::metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            // Nobody needs the file; one that stays is replaced by the next life.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
