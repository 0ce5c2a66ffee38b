//! The cache of one repository, in the layout of `huggingface_hub`: `blobs` holds contents by etag, `snapshots` a
//! folder of links per commit, and `refs` the commit of each branch or tag.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::HubError;
use crate::repository::{is_commit, is_inside};

/// The folder `models--org--name` and its locks.
#[derive(Debug, Clone)]
pub(crate) struct RepoCache {
    root: PathBuf,
    folder: PathBuf,
    name: String,
}

impl RepoCache {
    /// The cache of `org/name`. Creates no files.
    pub(crate) fn new(cache: &Path, repository: &str) -> Self {
        let name = format!("models--{}", repository.replace('/', "--"));
        Self { root: cache.to_owned(), folder: cache.join(&name), name }
    }

    /// The root folder of the whole cache.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Path of the content with this etag.
    pub(crate) fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// Path of the partly downloaded content with this etag.
    pub(crate) fn incomplete(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(format!("{etag}.incomplete"))
    }

    /// Path of a commit's folder.
    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Path of a file in a commit's folder.
    pub(crate) fn pointer(&self, commit: &str, path: &str) -> PathBuf {
        self.snapshot(commit).join(path)
    }

    /// The commit that a branch, tag or commit id refers to in the cache.
    pub(crate) fn commit_of(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        if !is_inside(revision) {
            return None;
        }
        let text = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        Some(text.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// Stores the commit of a branch or tag.
    pub(crate) fn write_ref(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if is_commit(revision) || !is_inside(revision) || self.commit_of(revision).as_deref() == Some(commit)
        {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        let write = || {
            make_parent(&path)?;
            // By rename, so that no process reads a partly written file.
            let fresh = path.with_file_name(format!(".{}.{}", commit, std::process::id()));
            fs::write(&fresh, commit)?;
            fs::rename(&fresh, &path)
        };
        write().map_err(|e| HubError::io(&path, e))
    }

    /// Links the content with this etag into the folder of a commit.
    pub(crate) fn link(&self, commit: &str, path: &str, etag: &str) -> Result<(), HubError> {
        let pointer = self.pointer(commit, path);
        let link = || {
            make_parent(&pointer)?;
            // Relative, so that the cache can be moved: up from the folders of `path`, the commit and `snapshots`.
            let up = "../".repeat(path.matches('/').count() + 2);
            let target = PathBuf::from(format!("{up}blobs/{etag}"));
            match std::os::unix::fs::symlink(&target, &pointer) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && pointer.exists() => Ok(()),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    fs::remove_file(&pointer)?;
                    std::os::unix::fs::symlink(&target, &pointer)
                }
                // The file system does not support links.
                Err(e) if e.raw_os_error() == Some(nix::libc::EPERM) => {
                    fs::copy(self.blob(etag), &pointer).map(drop)
                }
                other => other,
            }
        };
        link().map_err(|e| HubError::io(&pointer, e))
    }

    /// Takes the lock of a content, the same that `huggingface_hub` uses. `None` if another process holds it.
    pub(crate) fn try_lock(&self, etag: &str) -> Result<Option<File>, HubError> {
        let path = self.root.join(".locks").join(&self.name).join(format!("{etag}.lock"));
        let lock = || -> io::Result<Option<File>> {
            make_parent(&path)?;
            let file = File::options().create(true).truncate(false).write(true).open(&path)?;
            match file.try_lock() {
                Ok(()) => Ok(Some(file)),
                Err(TryLockError::WouldBlock) => Ok(None),
                // Without lock support in the file system, two processes may fetch the same file.
                Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => Ok(Some(file)),
                Err(TryLockError::Error(e)) => Err(e),
            }
        };
        lock().map_err(|e| HubError::io(&path, e))
    }

    /// Paths of the files of a commit that are in the cache.
    pub(crate) fn files(&self, commit: &str) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.snapshot(commit), "", &mut found);
        found.sort();
        found
    }
}

fn list(folder: &Path, prefix: &str, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        // These follow links: a link whose content is missing does not count as a file.
        if path.is_dir() {
            list(&path, &format!("{name}/"), found);
        } else if path.is_file() {
            found.push(name);
        }
    }
}

/// Creates the folder of a file.
pub(crate) fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn files_are_links_to_contents_and_refs_name_commits() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = RepoCache::new(folder.path(), "org/name");
        make_parent(&cache.blob("abc")).expect("made");
        fs::write(cache.blob("abc"), "text").expect("written");
        cache.link(COMMIT, "config.json", "abc").expect("linked");
        cache.link(COMMIT, "1_Pooling/config.json", "abc").expect("linked");
        cache.link(COMMIT, "config.json", "abc").expect("linked again");
        let deep =
            folder.path().join("models--org--name/snapshots").join(COMMIT).join("1_Pooling/config.json");
        assert_eq!(fs::read_link(&deep).expect("a link"), Path::new("../../../blobs/abc"));
        assert_eq!(fs::read_to_string(&deep).expect("readable"), "text");
        cache.link(COMMIT, "lost.json", "def").expect("linked");
        assert_eq!(cache.files(COMMIT), ["1_Pooling/config.json", "config.json"]);
        for revision in ["main", "refs/pr/1"] {
            assert_eq!(cache.commit_of(revision), None);
            cache.write_ref(revision, COMMIT).expect("written");
            assert_eq!(cache.commit_of(revision).as_deref(), Some(COMMIT));
        }
        assert_eq!(cache.commit_of("../../x"), None);
        assert_eq!(cache.commit_of(COMMIT).as_deref(), Some(COMMIT));
    }

    #[test]
    fn only_one_process_holds_a_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = RepoCache::new(folder.path(), "org/name");
        let held = cache.try_lock("abc").expect("a lock").expect("free");
        assert!(cache.try_lock("abc").expect("a lock").is_none());
        assert!(folder.path().join(".locks/models--org--name/abc.lock").is_file());
        drop(held);
        assert!(cache.try_lock("abc").expect("a lock").is_some());
    }
}
