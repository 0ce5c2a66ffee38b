//! Resolves a hub model to a local path, with or without network access.

use std::path::PathBuf;

use futures::{StreamExt, TryStreamExt};

use crate::cache::RepoCache;
use crate::client::{Client, Failure};
use crate::download::{Downloads, Wanted, free_bytes, length, no_room};
use crate::error::HubError;
use crate::part::Part;
use crate::progress::Progress;
use crate::reference::HubReference;
use crate::repository::{RemoteFile, Repository, is_commit};
use crate::select::{Plan, choose, first_part, shards};
use crate::settings::HubSettings;

/// Files that are downloaded in parallel.
const SIDE_BY_SIDE: usize = 4;
/// The branch if none is named.
const DEFAULT_REVISION: &str = "main";
/// Attempts to read the description of a repository that is not in the cache.
const API_ATTEMPTS: u32 = 3;

/// A hub and its cache.
#[derive(Debug, Clone)]
pub struct Hub {
    settings: HubSettings,
}

impl Hub {
    /// A hub with these settings.
    pub fn new(settings: HubSettings) -> Self {
        Self { settings }
    }

    /// Downloads the needed files of a model into the cache and returns the path of its folder or GGUF file. A commit
    /// id with all files in the cache needs no request; a branch needs one to see whether it has changed. If the hub
    /// cannot be reached, the cached files are used.
    ///
    /// # Errors
    /// [`HubError`] with a one-line message.
    pub fn fetch(
        &self,
        reference: &HubReference,
        revision: Option<&str>,
        part: &Part,
        progress: &dyn Progress,
    ) -> Result<PathBuf, HubError> {
        let revision = revision.unwrap_or(DEFAULT_REVISION);
        if self.settings.offline || is_commit(revision) {
            match self.look_up(reference, revision, part) {
                Ok(path) => return Ok(path),
                Err(missing) if self.settings.offline => {
                    let (repository, cache) = (reference.repository.clone(), self.settings.cache.clone());
                    return Err(HubError::Offline { repository, cache, missing });
                }
                Err(_) => {}
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| HubError::io(&self.settings.cache, e))?;
        let result = runtime.block_on(self.fetch_online(reference, revision, part, progress));
        progress.finish();
        result
    }

    /// The path of a model's folder or GGUF file, if the cache has all its files.
    ///
    /// # Errors
    /// [`HubError::NotCached`], which says what is missing.
    pub fn cached(
        &self,
        reference: &HubReference,
        revision: Option<&str>,
        part: &Part,
    ) -> Result<PathBuf, HubError> {
        let revision = revision.unwrap_or(DEFAULT_REVISION);
        self.look_up(reference, revision, part).map_err(|missing| HubError::NotCached {
            repository: reference.repository.clone(),
            cache: self.settings.cache.clone(),
            missing,
        })
    }

    /// Does the work of [`Self::cached`]. The error completes the sentence "the cache …".
    fn look_up(&self, reference: &HubReference, revision: &str, part: &Part) -> Result<PathBuf, String> {
        let cache = RepoCache::new(&self.settings.cache, &reference.repository);
        let commit =
            cache.commit_of(revision).ok_or_else(|| format!("does not have its revision {revision}"))?;
        let here = cache.files(&commit);
        if here.is_empty() {
            return Err(format!("has no files of its commit {commit}"));
        }
        let names: Vec<&str> = here.iter().map(String::as_str).collect();
        let (files, index) = match choose(&names, part, &reference.file) {
            Ok(Plan::Gguf(parts)) => return Ok(cache.pointer(&commit, first_part(&parts))),
            Ok(Plan::Folder { files, index }) => (files, index),
            Err(why) => return Err(format!("has only a part of it: {why}")),
        };
        debug_assert!(files.iter().all(|f| here.contains(f)), "chosen among what is here");
        if let Some(index) = index {
            let text = std::fs::read(cache.pointer(&commit, &index))
                .map_err(|e| format!("is broken: {index}: {e}"))?;
            let shards = shards(&text).map_err(|why| format!("is broken: {why}"))?;
            if let Some(missing) = shards.iter().find(|s| !here.contains(s)) {
                return Err(format!("lacks {missing}"));
            }
        }
        Ok(cache.snapshot(&commit))
    }

    async fn fetch_online(
        &self,
        reference: &HubReference,
        revision: &str,
        part: &Part,
        progress: &dyn Progress,
    ) -> Result<PathBuf, HubError> {
        let client = Client::new(&self.settings, &reference.repository)?;
        // With cached files to fall back on, do not wait for a hub that does not respond.
        let attempts = if self.look_up(reference, revision, part).is_ok() { 1 } else { API_ATTEMPTS };
        let repository = match self.describe(&client, reference, revision, attempts).await {
            Ok(repository) => repository,
            Err(failure) => return self.fall_back(reference, revision, part, failure),
        };
        let name = &reference.repository;
        let cache = RepoCache::new(&self.settings.cache, name);
        let downloads = Downloads {
            client: &client,
            cache: &cache,
            repository: name,
            commit: &repository.commit,
            progress,
            retry_delay: self.settings.retry_delay,
        };
        let no_model = |what: String| HubError::NoModel { repository: name.clone(), what };
        let names: Vec<&str> = repository.files.iter().map(|f| f.path.as_str()).collect();
        let commit = &repository.commit;
        let path = match choose(&names, part, &reference.file).map_err(no_model)? {
            Plan::Gguf(parts) => {
                tracing::info!("{name}: {} of commit {commit}", parts.join(", "));
                self.bring(&downloads, &repository, &parts).await?;
                cache.pointer(commit, first_part(&parts))
            }
            Plan::Folder { files, index } => {
                tracing::info!("{name}: commit {commit}");
                self.bring(&downloads, &repository, &files).await?;
                if let Some(index) = index {
                    let pointer = cache.pointer(commit, &index);
                    let text = std::fs::read(&pointer).map_err(|e| HubError::io(&pointer, e))?;
                    let shards = shards(&text).map_err(no_model)?;
                    if let Some(lost) = shards.iter().find(|s| repository.file(s).is_none()) {
                        return Err(no_model(format!(
                            "{index} names {lost}, which the repository does not have"
                        )));
                    }
                    self.bring(&downloads, &repository, &shards).await?;
                }
                cache.snapshot(commit)
            }
        };
        cache.write_ref(revision, commit)?;
        Ok(path)
    }

    async fn describe(
        &self,
        client: &Client,
        reference: &HubReference,
        revision: &str,
        attempts: u32,
    ) -> Result<Repository, Failure> {
        let mut attempt = 1;
        loop {
            match client.repository(&reference.repository, revision).await {
                Err(Failure::Transient(why, wait)) if attempt < attempts => {
                    let wait =
                        wait.unwrap_or(self.settings.retry_delay * attempt).min(self.settings.api_timeout);
                    tracing::debug!(
                        "{}: {why}; again in {:.1} s",
                        self.settings.endpoint,
                        wait.as_secs_f64()
                    );
                    tokio::time::sleep(wait).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// After a failed request for the description: uses the cache, as `huggingface_hub` does, unless the hub said that
    /// the revision does not exist.
    fn fall_back(
        &self,
        reference: &HubReference,
        revision: &str,
        part: &Part,
        failure: Failure,
    ) -> Result<PathBuf, HubError> {
        let found = match &failure {
            Failure::Final(HubError::RevisionNotFound { .. }) => Err(String::new()),
            _ => self.look_up(reference, revision, part),
        };
        match (found, failure) {
            (Ok(path), Failure::Final(error)) => {
                tracing::warn!("{error}; using the cached files in {}", path.display());
                Ok(path)
            }
            (Ok(path), Failure::Transient(why, _)) => {
                tracing::warn!(
                    "{} cannot be reached ({why}); using the cached files in {}",
                    self.settings.endpoint,
                    path.display()
                );
                Ok(path)
            }
            (Err(_), Failure::Final(error)) => Err(error),
            (Err(missing), Failure::Transient(why, _)) => Err(HubError::Unreachable {
                repository: reference.repository.clone(),
                endpoint: self.settings.endpoint.clone(),
                why,
                cache: self.settings.cache.clone(),
                missing,
            }),
        }
    }

    /// Downloads the files that are not in the cache yet.
    async fn bring(
        &self,
        downloads: &Downloads<'_>,
        repository: &Repository,
        files: &[String],
    ) -> Result<(), HubError> {
        let missing = files.iter().filter(|f| !downloads.cache.pointer(downloads.commit, f).exists());
        let missing: Vec<&RemoteFile> = missing.filter_map(|f| repository.file(f)).collect();
        let mut wanted = Vec::with_capacity(missing.len());
        for file in missing {
            wanted.push(self.named(downloads, file).await?);
        }
        let still = |w: &Wanted| {
            let here = if downloads.cache.blob(&w.etag).exists() { u64::MAX } else { 0 };
            w.size
                .unwrap_or(0)
                .saturating_sub(here)
                .saturating_sub(length(&downloads.cache.incomplete(&w.etag)))
        };
        let needed: u64 = wanted.iter().map(still).sum();
        if free_bytes(downloads.cache.root()).is_some_and(|free| free < needed) {
            return Err(no_room(downloads.repository, downloads.cache.root(), needed));
        }
        let absent = |w: &&Wanted| !downloads.cache.blob(&w.etag).exists();
        let bytes = wanted.iter().filter(absent).filter_map(|w| w.size).sum();
        downloads.progress.expect(wanted.iter().filter(absent).count(), bytes);
        futures::stream::iter(wanted.iter().map(|w| async move {
            let was_here = downloads.cache.blob(&w.etag).exists();
            downloads.fetch(w).await?;
            if !was_here {
                downloads.progress.file_done(&w.path);
            }
            Ok(())
        }))
        .buffer_unordered(SIDE_BY_SIDE)
        .try_collect::<Vec<()>>()
        .await
        .map(drop)
    }

    /// A file with its etag, which is requested from the hub if the list lacks it.
    async fn named(&self, downloads: &Downloads<'_>, file: &RemoteFile) -> Result<Wanted, HubError> {
        if let Some(etag) = &file.etag {
            return Ok(Wanted { path: file.path.clone(), etag: etag.clone(), size: file.size });
        }
        let mut attempt = 1;
        loop {
            match downloads.client.metadata(downloads.repository, downloads.commit, &file.path).await {
                Ok(found) => {
                    let size = found.size.or(file.size);
                    return Ok(Wanted { path: file.path.clone(), etag: found.etag, size });
                }
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Transient(why, _)) if attempt == API_ATTEMPTS => {
                    return Err(HubError::Broken {
                        repository: downloads.repository.to_owned(),
                        file: file.path.clone(),
                        done: 0,
                        size: file.size.unwrap_or(0),
                        why,
                    });
                }
                Err(Failure::Transient(_, wait)) => {
                    tokio::time::sleep(wait.unwrap_or(self.settings.retry_delay * attempt)).await;
                    attempt += 1;
                }
            }
        }
    }
}
