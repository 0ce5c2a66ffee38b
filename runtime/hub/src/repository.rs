//! The hub's description of a repository at one commit.

use serde::Deserialize;

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteFile {
    /// Path in the repository.
    pub(crate) path: String,
    /// Size in bytes; some mirrors do not report it.
    pub(crate) size: Option<u64>,
    /// Identifier of the content: SHA-256 for large files, the git blob id for small ones.
    pub(crate) etag: Option<String>,
}

/// A repository at one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repository {
    /// 40 hexadecimal digits.
    pub(crate) commit: String,
    /// All files.
    pub(crate) files: Vec<RemoteFile>,
}

#[derive(Deserialize)]
struct Answer {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: Option<u64>,
}

impl Repository {
    /// Parses the response of `api/models/…/revision/…?blobs=true`. Skips files whose path could lead out of a folder;
    /// no model needs such files.
    pub(crate) fn parse(answer: &[u8]) -> Result<Self, String> {
        let answer: Answer = serde_json::from_slice(answer)
            .map_err(|e| format!("expected a repository's description: {e}"))?;
        if !is_commit(&answer.sha) {
            return Err(format!("expected a commit of 40 hexadecimal digits, found `{}`", answer.sha));
        }
        let file = |s: Sibling| {
            let (lfs_size, lfs_etag) = s.lfs.map_or((None, None), |l| (l.size, Some(l.sha256)));
            RemoteFile {
                path: s.rfilename,
                size: lfs_size.or(s.size),
                etag: lfs_etag.or(s.blob_id).filter(|e| is_etag(e)),
            }
        };
        let files = answer.siblings.into_iter().map(file).filter(|f| is_inside(&f.path)).collect();
        Ok(Self { commit: answer.sha, files })
    }

    pub(crate) fn file(&self, path: &str) -> Option<&RemoteFile> {
        self.files.iter().find(|f| f.path == path)
    }
}

/// Whether text is a full commit id, which always refers to the same commit.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether text is a valid blob name.
pub(crate) fn is_etag(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Whether a path stays in its folder.
pub(crate) fn is_inside(path: &str) -> bool {
    !path.contains(['\\', '\0']) && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hubs_answer_gives_names_sizes_and_contents() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let answer = serde_json::json!({"id": "a/b", "sha": commit, "gated": false, "siblings": [
            {"rfilename": "config.json", "size": 7, "blobId": "abc1"},
            {"rfilename": "model.safetensors", "size": 9, "blobId": "def2",
                "lfs": {"sha256": "5a5a", "size": 9, "pointerSize": 135}},
            {"rfilename": "plain.txt"},
            {"rfilename": "../evil", "blobId": "1"},
            {"rfilename": "bad.bin", "blobId": "../../x"},
        ]});
        let repository = Repository::parse(answer.to_string().as_bytes()).expect("valid");
        assert_eq!(repository.commit, commit);
        let file = |path: &str, size, etag: Option<&str>| RemoteFile {
            path: path.to_owned(),
            size,
            etag: etag.map(str::to_owned),
        };
        assert_eq!(
            repository.files,
            [
                file("config.json", Some(7), Some("abc1")),
                file("model.safetensors", Some(9), Some("5a5a")),
                file("plain.txt", None, None),
                file("bad.bin", None, None),
            ]
        );
        for bad in ["", "[]", r#"{"sha": "main"}"#, r#"{"siblings": []}"#] {
            assert!(Repository::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
