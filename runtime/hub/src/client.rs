//! Requests to the hub.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, ETAG, HeaderMap, LOCATION, RANGE, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};
use std::time::Duration;

use crate::error::HubError;
use crate::repository::{Repository, is_etag};
use crate::settings::HubSettings;

/// Most redirects per file: to a renamed repository, then to a storage server.
const MOST_REDIRECTS: usize = 10;
/// Longest accepted description of a repository, in bytes.
const LONGEST_ANSWER: usize = 64 << 20;
/// Characters that are percent-encoded in a part of a path.
const PATH_PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A failed request.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Retrying would not help.
    Final(HubError),
    /// The network or the hub failed temporarily: reason, and minimum wait before the next attempt.
    Transient(String, Option<Duration>),
}

/// HTTP client for one hub and token.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    settings: HubSettings,
    endpoint: Url,
}

/// Etag and size of a file's content.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FileMetadata {
    pub(crate) etag: String,
    pub(crate) size: Option<u64>,
}

impl Client {
    /// Creates the client. An error names the invalid environment variable.
    pub(crate) fn new(settings: &HubSettings, repository: &str) -> Result<Self, HubError> {
        let wrong = |what: String| HubError::Answer {
            repository: repository.to_owned(),
            url: settings.endpoint.clone(),
            what,
        };
        let endpoint = Url::parse(&settings.endpoint)
            .ok()
            .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| {
                wrong("HF_ENDPOINT: expected an address such as https://huggingface.co".to_owned())
            })?;
        let http = reqwest::Client::builder()
            .user_agent(concat!("sglang-rs/", env!("CARGO_PKG_VERSION")))
            // [`Client::send`] follows redirects itself: the token must not reach a storage server, and only the first
            // answer has the headers with the etag.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(settings.api_timeout)
            .read_timeout(settings.stall_timeout)
            .build()
            .map_err(|e| wrong(explain(&e)))?;
        Ok(Self { http, settings: settings.clone(), endpoint })
    }

    /// Fetches the commit of a revision and its list of files.
    pub(crate) async fn repository(&self, repository: &str, revision: &str) -> Result<Repository, Failure> {
        let revision_part = utf8_percent_encode(revision, PATH_PART);
        let url =
            format!("{}/api/models/{repository}/revision/{revision_part}?blobs=true", self.settings.endpoint);
        let response = self.send(Method::GET, &url, 0, false).await?;
        if !response.status().is_success() {
            return Err(self.classify(&response, repository, revision, None));
        }
        let invalid = |what: String| {
            Failure::Final(HubError::Answer { repository: repository.to_owned(), url: url.clone(), what })
        };
        if response.content_length().is_some_and(|n| n > LONGEST_ANSWER as u64) {
            return Err(invalid("an answer of more than 64 MB".to_owned()));
        }
        let answer = response.bytes().await.map_err(|e| Failure::Transient(explain(&e), None))?;
        Repository::parse(&answer).map_err(invalid)
    }

    /// Fetches etag and size of a file from headers, for hubs that do not list them.
    pub(crate) async fn metadata(
        &self,
        repository: &str,
        commit: &str,
        path: &str,
    ) -> Result<FileMetadata, Failure> {
        let url = self.file_url(repository, commit, path);
        let response = self.send(Method::HEAD, &url, 0, true).await?;
        let status = response.status();
        if !status.is_success() && !status.is_redirection() {
            return Err(self.classify(&response, repository, commit, Some(path)));
        }
        let text = |name: &str| response.headers().get(name)?.to_str().ok();
        let etag = text("x-linked-etag").or_else(|| text(ETAG.as_str())).map(clean_etag);
        let size = text("x-linked-size").or_else(|| text("content-length").filter(|_| status.is_success()));
        match etag.filter(|e| is_etag(e)) {
            Some(etag) => Ok(FileMetadata { etag, size: size.and_then(|s| s.parse().ok()) }),
            None => Err(Failure::Final(HubError::Answer {
                repository: repository.to_owned(),
                url,
                what: "the answer has no ETag, so this is not a hub".to_owned(),
            })),
        }
    }

    /// Requests a file from byte `from` on. The status of the response is 200, 206 or 416.
    pub(crate) async fn open(
        &self,
        repository: &str,
        commit: &str,
        path: &str,
        from: u64,
    ) -> Result<Response, Failure> {
        let url = self.file_url(repository, commit, path);
        let response = self.send(Method::GET, &url, from, false).await?;
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
            StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => Ok(response),
            _ => Err(self.classify(&response, repository, commit, Some(path))),
        }
    }

    fn file_url(&self, repository: &str, commit: &str, path: &str) -> String {
        let path: Vec<String> =
            path.split('/').map(|part| utf8_percent_encode(part, PATH_PART).to_string()).collect();
        format!("{}/{repository}/resolve/{commit}/{}", self.settings.endpoint, path.join("/"))
    }

    /// Sends a request and follows redirects; to other servers only if `stay` is false. Only the hub receives the
    /// token.
    async fn send(&self, method: Method, url: &str, from: u64, stay: bool) -> Result<Response, Failure> {
        let transient = |why: String| Failure::Transient(why, None);
        let mut url = Url::parse(url).map_err(|e| transient(e.to_string()))?;
        for _ in 0..=MOST_REDIRECTS {
            let mut request = self.http.request(method.clone(), url.clone());
            if let Some(token) =
                self.settings.token.as_ref().filter(|_| url.origin() == self.endpoint.origin())
            {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            if from > 0 {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            let response = request.send().await.map_err(|e| transient(explain(&e)))?;
            let next = redirect_of(response.status(), response.headers(), &url);
            match next {
                Some(next) if !stay || next.origin() == url.origin() => url = next,
                _ => return Ok(response),
            }
        }
        Err(transient(format!("more than {MOST_REDIRECTS} redirects")))
    }

    /// Turns an error response into a failure, based on the hub's `X-Error-Code` as in `huggingface_hub`.
    fn classify(&self, response: &Response, repository: &str, revision: &str, file: Option<&str>) -> Failure {
        let status = response.status();
        let header = |name: &str| {
            response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned).unwrap_or_default()
        };
        let (code, message) = (header("x-error-code"), header("x-error-message"));
        let wait = header(RETRY_AFTER.as_str()).trim().parse().ok().map(Duration::from_secs);
        let url = response.url().to_string();
        let (repository, endpoint) = (repository.to_owned(), self.settings.endpoint.clone());
        let with_token = self.settings.token.is_some();
        if status.is_server_error() || matches!(status.as_u16(), 408 | 429) {
            return Failure::Transient(format!("HTTP {status}"), wait);
        }
        Failure::Final(match (code.as_str(), status.as_u16()) {
            ("RevisionNotFound", _) => {
                HubError::RevisionNotFound { repository, revision: revision.to_owned() }
            }
            ("GatedRepo", _) => HubError::Gated { repository, endpoint, with_token },
            (_, 401) if message.starts_with("Invalid credentials") => {
                HubError::BadToken { repository, endpoint }
            }
            ("RepoNotFound", _) => HubError::RepositoryNotFound { repository, endpoint, with_token },
            // The list of files was readable, but the file is not.
            (_, 401 | 403) if file.is_some() => HubError::Gated { repository, endpoint, with_token },
            (_, 401) => HubError::RepositoryNotFound { repository, endpoint, with_token },
            (_, 404) if file.is_none() => HubError::RepositoryNotFound { repository, endpoint, with_token },
            _ => {
                let what = if message.is_empty() { String::new() } else { format!(": {message}") };
                HubError::Answer { repository, url, what: format!("HTTP {status}{what}") }
            }
        })
    }
}

/// The target of a redirect.
fn redirect_of(status: StatusCode, headers: &HeaderMap, url: &Url) -> Option<Url> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    url.join(headers.get(LOCATION)?.to_str().ok()?).ok()
}

/// An etag without quotes and weak marker.
fn clean_etag(text: &str) -> String {
    text.trim_start_matches("W/").trim_matches('"').to_owned()
}

/// Describes an error of the HTTP client on one line, with its cause but without the address.
pub(crate) fn explain(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_are_cleaned_as_huggingface_hub_does() {
        for text in ["abc", "\"abc\"", "W/\"abc\""] {
            assert_eq!(clean_etag(text), "abc");
        }
    }

    #[test]
    fn paths_and_revisions_are_quoted() {
        let settings = HubSettings::from_lookup(|n| (n == "HF_ENDPOINT").then(|| "http://h:1".to_owned()));
        let client = Client::new(&settings, "a/b").expect("a client");
        assert_eq!(
            client.file_url("a/b", "c", "1_P x/m#1.json"),
            "http://h:1/a/b/resolve/c/1_P%20x/m%231.json"
        );
        let wrong = HubSettings { endpoint: "huggingface.co".to_owned(), ..settings };
        assert!(Client::new(&wrong, "a/b").expect_err("no scheme").to_string().contains("HF_ENDPOINT"));
    }
}
