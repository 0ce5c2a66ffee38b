//! Why a model cannot be fetched from the hub or the cache. Every message is one line that names the repository and
//! says what to do.

use std::path::PathBuf;

use sglang_process::failure::Failure;

/// Why a model cannot be fetched from the hub or the cache.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The hub has no such repository, or hides it from this token.
    #[error(
        "{repository}: no such folder here, and no such repository on {endpoint} (or a private one: {})",
        token_hint(*.with_token)
    )]
    RepositoryNotFound {
        /// `org/name`.
        repository: String,
        /// Address of the hub.
        endpoint: String,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// The repository has no such branch, tag or commit.
    #[error("{repository}: no branch, tag or commit `{revision}` in this repository; see --revision")]
    RevisionNotFound {
        /// `org/name`.
        repository: String,
        /// `--revision`.
        revision: String,
    },
    /// The repository is gated: its owner decides who may read it.
    #[error(
        "{repository}: this repository is gated; accept its terms on {endpoint}/{repository}, then {}",
        token_hint(*.with_token)
    )]
    Gated {
        /// `org/name`.
        repository: String,
        /// Address of the hub.
        endpoint: String,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// The hub does not accept the token.
    #[error(
        "{repository}: {endpoint} refuses the token in HF_TOKEN (or in the token file); renew it or unset it"
    )]
    BadToken {
        /// `org/name`.
        repository: String,
        /// Address of the hub.
        endpoint: String,
    },
    /// The hub cannot be reached, and the cache does not have the model.
    #[error("{repository}: {endpoint} cannot be reached ({why}), and the cache {} {missing}", cache.display())]
    Unreachable {
        /// `org/name`.
        repository: String,
        /// Address of the hub.
        endpoint: String,
        /// Cause of the failure.
        why: String,
        /// The cache's folder.
        cache: PathBuf,
        /// What the cache lacks.
        missing: String,
    },
    /// `HF_HUB_OFFLINE` is set, and the cache does not have the model.
    #[error("{repository}: HF_HUB_OFFLINE is set, and the cache {} {missing}", cache.display())]
    Offline {
        /// `org/name`.
        repository: String,
        /// The cache's folder.
        cache: PathBuf,
        /// What the cache lacks.
        missing: String,
    },
    /// A process that was started without the launcher does not find the model in the cache.
    #[error("{repository}: the cache {} {missing}; sglang-launch fetches it, or HF_HUB_CACHE names another", cache.display())]
    NotCached {
        /// `org/name`.
        repository: String,
        /// The cache's folder.
        cache: PathBuf,
        /// What the cache lacks.
        missing: String,
    },
    /// The repository has no model that can be served.
    #[error("{repository}: {what}")]
    NoModel {
        /// `org/name`.
        repository: String,
        /// What was looked for and what was found.
        what: String,
    },
    /// The hub sent an unexpected response.
    #[error("{repository}: {url}: {what}")]
    Answer {
        /// `org/name`.
        repository: String,
        /// URL of the request.
        url: String,
        /// Status and message of the response.
        what: String,
    },
    /// The download of a file kept failing.
    #[error(
        "{repository}: {file}: the download stopped at {done} of {size} bytes ({why}); start again to resume"
    )]
    Broken {
        /// `org/name`.
        repository: String,
        /// The file's path in the repository.
        file: String,
        /// Downloaded bytes.
        done: u64,
        /// Size of the file in bytes.
        size: u64,
        /// Cause of the last failure.
        why: String,
    },
    /// The disk has too little free space.
    #[error(
        "{repository}: {needed} MB are still to be downloaded, but {} has only {free} MB free; free some, or name \
         another folder with --download-dir or HF_HOME",
        cache.display()
    )]
    NoRoom {
        /// `org/name`.
        repository: String,
        /// The cache's folder.
        cache: PathBuf,
        /// MB to download.
        needed: u64,
        /// Free MB.
        free: u64,
    },
    /// The cache cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

impl HubError {
    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    /// Whether the command line is at fault: the hub has no such repository, revision or model.
    pub fn is_of_input(&self) -> bool {
        matches!(self, Self::RepositoryNotFound { .. } | Self::RevisionNotFound { .. } | Self::NoModel { .. })
    }

    /// Whether the model was not found: the hub does not have it, or the hub is not available and the cache does not
    /// have it.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::RepositoryNotFound { .. } | Self::Unreachable { .. } | Self::Offline { .. })
    }
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        if error.is_of_input() { Failure::of_input(error) } else { Failure::of_system(error) }
    }
}

fn token_hint(with_token: bool) -> &'static str {
    if with_token {
        "the token in use must be of an account that may read it"
    } else {
        "set HF_TOKEN to a token of an account that may read it"
    }
}
