//! Why a model of the hub cannot be had. Every message is one line that names the repository and says what to do.

use std::path::PathBuf;

use sglang_process::failure::Failure;

/// Why a model of the hub cannot be had.
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
        /// The hub.
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
    /// The repository may only be read by those whom its owner lets.
    #[error(
        "{repository}: this repository is gated; accept its terms on {endpoint}/{repository}, then {}",
        token_hint(*.with_token)
    )]
    Gated {
        /// `org/name`.
        repository: String,
        /// The hub.
        endpoint: String,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// The token is not one of the hub's.
    #[error(
        "{repository}: {endpoint} refuses the token in HF_TOKEN (or in the token file); renew it or unset it"
    )]
    BadToken {
        /// `org/name`.
        repository: String,
        /// The hub.
        endpoint: String,
    },
    /// The hub cannot be reached, and the cache cannot stand in for it.
    #[error("{repository}: {endpoint} cannot be reached ({why}), and the cache {} {missing}", cache.display())]
    Unreachable {
        /// `org/name`.
        repository: String,
        /// The hub.
        endpoint: String,
        /// What failed.
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
    /// A process that was started by hand does not find the model in the cache.
    #[error("{repository}: the cache {} {missing}; sglang-launch fetches it, or HF_HUB_CACHE names another", cache.display())]
    NotCached {
        /// `org/name`.
        repository: String,
        /// The cache's folder.
        cache: PathBuf,
        /// What the cache lacks.
        missing: String,
    },
    /// The repository has nothing that can be served.
    #[error("{repository}: {what}")]
    NoModel {
        /// `org/name`.
        repository: String,
        /// What was looked for and what is there.
        what: String,
    },
    /// The hub answered with something else.
    #[error("{repository}: {url}: {what}")]
    Answer {
        /// `org/name`.
        repository: String,
        /// The request.
        url: String,
        /// Status and message.
        what: String,
    },
    /// A file stopped coming, again and again.
    #[error(
        "{repository}: {file}: the download stopped at {done} of {size} bytes ({why}); start again to go on from there"
    )]
    Broken {
        /// `org/name`.
        repository: String,
        /// The file's path in the repository.
        file: String,
        /// Bytes that are here.
        done: u64,
        /// Bytes of the file.
        size: u64,
        /// What failed last.
        why: String,
    },
    /// There is no room for the files.
    #[error(
        "{repository}: {needed} MB are still to be downloaded and {} has {free} MB of room; free some, or name another folder \
         with --download-dir or HF_HOME",
        cache.display()
    )]
    NoRoom {
        /// `org/name`.
        repository: String,
        /// The cache's folder.
        cache: PathBuf,
        /// MB to download.
        needed: u64,
        /// MB free.
        free: u64,
    },
    /// The cache cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl HubError {
    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    /// Whether another command line is needed: nothing on the hub is, or holds, what was named.
    pub fn is_of_input(&self) -> bool {
        matches!(self, Self::RepositoryNotFound { .. } | Self::RevisionNotFound { .. } | Self::NoModel { .. })
    }

    /// Whether the model is nowhere to be found: not on the hub, or on no hub that answers.
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
