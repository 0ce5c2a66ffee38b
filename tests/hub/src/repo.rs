//! A repository of the test hub.

use std::path::Path;

/// Files of at least this size are "large": they are named by a SHA-256 and come from the storage server.
const LARGE: usize = 1024;

/// A repository with one commit.
#[derive(Debug, Clone)]
pub struct TestRepo {
    /// `org/name`.
    pub name: String,
    /// 40 hexadecimal digits.
    pub commit: String,
    /// Branches and tags besides `main`.
    pub revisions: Vec<String>,
    /// Path and content.
    pub files: Vec<(String, Vec<u8>)>,
    /// If set, only this token may see the repository.
    pub private_to: Option<String>,
    /// If set, everyone may see the repository but only this token may download its files.
    pub gated_to: Option<String>,
    /// Requests for this name are redirected to the repository.
    pub old_name: Option<String>,
}

impl TestRepo {
    /// An empty repository.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            commit: digits(name.as_bytes(), 40),
            revisions: Vec::new(),
            files: Vec::new(),
            private_to: None,
            gated_to: None,
            old_name: None,
        }
    }

    /// Adds a file; the commit changes with it.
    pub fn with(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        self.commit = digits(&[self.commit.as_bytes(), path.as_bytes(), &content].concat(), 40);
        self.files.push((path.to_owned(), content));
        self
    }

    /// Adds all files of a folder and its subfolders.
    ///
    /// # Errors
    /// The system's errors.
    pub fn with_folder(mut self, folder: &Path) -> std::io::Result<Self> {
        let mut paths: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
        paths.sort_by_key(std::fs::DirEntry::file_name);
        for entry in paths {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_dir() {
                let below = Self::new("x/y").with_folder(&entry.path())?;
                for (path, content) in below.files {
                    self = self.with(&format!("{name}/{path}"), content);
                }
            } else {
                self = self.with(&name, std::fs::read(entry.path())?);
            }
        }
        Ok(self)
    }

    pub(crate) fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.iter().find(|(p, _)| p == path).map(|(_, content)| content.as_slice())
    }

    pub(crate) fn has_revision(&self, revision: &str) -> bool {
        revision == "main" || revision == self.commit || self.revisions.iter().any(|r| r == revision)
    }
}

pub(crate) fn is_large(content: &[u8]) -> bool {
    content.len() >= LARGE
}

/// The name of a content. It only looks like a hash.
pub(crate) fn etag(content: &[u8]) -> String {
    digits(content, if is_large(content) { 64 } else { 40 })
}

/// This many hexadecimal digits that depend on the bytes (FNV-1a, repeated).
fn digits(bytes: &[u8], count: usize) -> String {
    let mut text = String::new();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    while text.len() < count {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash = hash.wrapping_add(bytes.len() as u64 + 1);
        text.push_str(&format!("{hash:016x}"));
    }
    text.truncate(count);
    text
}
