//! Downloads files into the cache and resumes after connection failures.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};

use crate::cache::{RepoCache, make_parent};
use crate::client::{Client, Failure, explain};
use crate::error::HubError;
use crate::progress::Progress;

/// Attempts in a row without progress before a download fails.
const MOST_FRUITLESS: u32 = 5;
/// Longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Interval between attempts to take a lock that another process holds.
const LOCK_POLL: Duration = Duration::from_millis(200);

/// A file to download.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Path in the repository.
    pub(crate) path: String,
    /// Etag of the content.
    pub(crate) etag: String,
    /// Length of the content in bytes, if known.
    pub(crate) size: Option<u64>,
}

/// State that all downloads of a run share.
pub(crate) struct Downloads<'a> {
    pub(crate) client: &'a Client,
    pub(crate) cache: &'a RepoCache,
    pub(crate) repository: &'a str,
    pub(crate) commit: &'a str,
    pub(crate) progress: &'a dyn Progress,
    /// Wait after the first attempt without progress; doubles with each further one.
    pub(crate) retry_delay: Duration,
}

/// Result of an attempt.
enum Attempt {
    /// The file is complete.
    Whole,
    /// The attempt failed, but another may resume: reason, and minimum wait.
    Broken(String, Option<Duration>),
}

impl Downloads<'_> {
    /// Downloads a content into the cache and links it. Resumes what an earlier run left.
    pub(crate) async fn fetch(&self, wanted: &Wanted) -> Result<(), HubError> {
        let blob = self.cache.blob(&wanted.etag);
        let _lock = self.lock(wanted).await?;
        if !blob.exists() {
            let part = self.cache.incomplete(&wanted.etag);
            make_parent(&part).map_err(|e| HubError::io(&part, e))?;
            self.complete(wanted, &part).await?;
            fs::rename(&part, &blob).map_err(|e| HubError::io(&blob, e))?;
        }
        self.cache.link(self.commit, &wanted.path, &wanted.etag)
    }

    /// Waits until no other process fetches the same content.
    async fn lock(&self, wanted: &Wanted) -> Result<File, HubError> {
        let mut told = false;
        loop {
            if let Some(lock) = self.cache.try_lock(&wanted.etag)? {
                return Ok(lock);
            }
            if !told {
                tracing::info!(
                    "{}: another process is fetching {}; waiting for it",
                    self.repository,
                    wanted.path
                );
                told = true;
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
    }

    /// Retries until the file is complete or several attempts in a row made no progress.
    async fn complete(&self, wanted: &Wanted, part: &Path) -> Result<(), HubError> {
        let mut fruitless = 0;
        let mut counted = 0;
        loop {
            let before = length(part);
            self.count(&mut counted, before);
            let (why, wait) = match self.attempt(wanted, part, &mut counted).await? {
                Attempt::Whole => return Ok(()),
                Attempt::Broken(why, wait) => (why, wait),
            };
            fruitless = if length(part) > before { 0 } else { fruitless + 1 };
            if fruitless >= MOST_FRUITLESS {
                return Err(HubError::Broken {
                    repository: self.repository.to_owned(),
                    file: wanted.path.clone(),
                    done: length(part),
                    size: wanted.size.unwrap_or(0),
                    why,
                });
            }
            let wait = wait.unwrap_or(self.retry_delay * 2_u32.pow(fruitless)).min(LONGEST_WAIT);
            tracing::warn!(
                "{}: the download of {} broke off at {} bytes ({why}); resuming in {:.1} s",
                self.repository,
                wanted.path,
                length(part),
                wait.as_secs_f64()
            );
            tokio::time::sleep(wait).await;
        }
    }

    /// Reports how much of the file is complete, which may be less than before.
    fn count(&self, counted: &mut u64, now: u64) {
        self.progress.advance(now as i64 - *counted as i64);
        *counted = now;
    }

    async fn attempt(&self, wanted: &Wanted, part: &Path, counted: &mut u64) -> Result<Attempt, HubError> {
        let io = |e: io::Error| self.write_error(wanted, part, e);
        let mut file = File::options().create(true).append(true).open(part).map_err(io)?;
        let mut done = file.metadata().map_err(io)?.len();
        match wanted.size {
            Some(size) if done == size => return Ok(Attempt::Whole),
            // A longer file is not from this download; none of it can be trusted.
            Some(size) if done > size => {
                file.set_len(0).map_err(io)?;
                done = 0;
            }
            _ => {}
        }
        let response = match self.client.open(self.repository, self.commit, &wanted.path, done).await {
            Ok(response) => response,
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Transient(why, wait)) => return Ok(Attempt::Broken(why, wait)),
        };
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            // Either the file is complete (its length was unknown), or the partial file belongs to another file.
            return if total_of(&response) == Some(done) {
                Ok(Attempt::Whole)
            } else {
                file.set_len(0).map_err(io)?;
                Ok(Attempt::Broken("the server has a shorter file".to_owned(), None))
            };
        }
        if done > 0 && !continues_at(&response, done) {
            // The server does not support ranges and sends the whole file.
            file.set_len(0).map_err(io)?;
            done = 0;
        }
        self.count(counted, done);
        let announced = response.content_length().map(|left| done + left);
        let size = wanted.size.or(announced);
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(e) => return Ok(Attempt::Broken(explain(&e), None)),
            };
            file.write_all(&chunk).map_err(io)?;
            done += chunk.len() as u64;
            self.count(counted, done);
        }
        match size {
            Some(size) if done < size => Ok(Attempt::Broken("the connection was closed".to_owned(), None)),
            Some(size) if done > size => {
                file.set_len(0).map_err(io)?;
                Ok(Attempt::Broken(format!("{done} bytes came where {size} were expected"), None))
            }
            _ => Ok(Attempt::Whole),
        }
    }

    fn write_error(&self, wanted: &Wanted, part: &Path, error: io::Error) -> HubError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let left = wanted.size.unwrap_or(0).saturating_sub(length(part));
                no_room(self.repository, self.cache.root(), left)
            }
            _ => HubError::io(part, error),
        }
    }
}

/// Length of a file in bytes; 0 if it does not exist.
pub(crate) fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |m| m.len())
}

/// The error for a full disk.
pub(crate) fn no_room(repository: &str, cache: &Path, needed: u64) -> HubError {
    HubError::NoRoom {
        repository: repository.to_owned(),
        cache: cache.to_owned(),
        needed: needed.div_ceil(1_000_000),
        free: free_bytes(cache).unwrap_or(0) / 1_000_000,
    }
}

/// Free bytes of the file system that contains a folder, which may not exist yet.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|f| f.exists())?;
    let stat = nix::sys::statvfs::statvfs(there).ok()?;
    Some(stat.blocks_available() * stat.fragment_size())
}

/// Whether a partial response starts at byte `from`.
fn continues_at(response: &Response, from: u64) -> bool {
    let start = || {
        let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
        range.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse::<u64>().ok()
    };
    response.status() == StatusCode::PARTIAL_CONTENT && start() == Some(from)
}

/// The length of the whole file, from `Content-Range`.
fn total_of(response: &Response) -> Option<u64> {
    response.headers().get(CONTENT_RANGE)?.to_str().ok()?.rsplit_once('/')?.1.parse().ok()
}
