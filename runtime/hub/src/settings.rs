//! Settings of the hub from the environment variables of `huggingface_hub`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Address of the hub if `HF_ENDPOINT` is not set.
const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// How to reach the hub, and where to cache its files.
#[derive(Clone, PartialEq)]
pub struct HubSettings {
    /// `HF_ENDPOINT`, without a slash at the end.
    pub endpoint: String,
    /// `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, or the file that `hf auth login` writes.
    pub token: Option<String>,
    /// `HF_HUB_CACHE`, otherwise `hub` in `HF_HOME`, otherwise `~/.cache/huggingface/hub`.
    pub cache: PathBuf,
    /// `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`: no request is sent.
    pub offline: bool,
    /// `HF_HUB_ETAG_TIMEOUT`: limit for connecting and for API responses. Default 10 s.
    pub api_timeout: Duration,
    /// `HF_HUB_DOWNLOAD_TIMEOUT`: longest time without data during a download. Default 10 s.
    pub stall_timeout: Duration,
    /// Wait before the first retry; doubles with each further one.
    pub retry_delay: Duration,
    /// Whether to draw progress bars: the opposite of `HF_HUB_DISABLE_PROGRESS_BARS`.
    pub progress: bool,
}

/// Hides the token.
impl fmt::Debug for HubSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubSettings")
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "***"))
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

impl HubSettings {
    /// Reads the environment and the token file.
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Like [`Self::from_env`], but with any source of variables.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| lookup(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let path = |name: &str| get(name).map(|text| expand_home(&text, get("HOME").as_deref()));
        let is_true = |name: &str| get(name).is_some_and(|v| is_true(&v));
        let home_dir = PathBuf::from(get("HOME").unwrap_or_else(|| "/tmp".to_owned()));
        let home = path("HF_HOME").unwrap_or_else(|| {
            path("XDG_CACHE_HOME").unwrap_or_else(|| home_dir.join(".cache")).join("huggingface")
        });
        let cache = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE"));
        let token_file = path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        let token = get("HF_TOKEN").or_else(|| get("HUGGING_FACE_HUB_TOKEN")).or_else(|| {
            if is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
                return None;
            }
            let text = std::fs::read_to_string(&token_file).ok()?;
            Some(text.trim().to_owned()).filter(|t| !t.is_empty())
        });
        let seconds = |name: &str, default: f64| {
            let given = get(name).and_then(|v| v.parse::<f64>().ok()).filter(|s| (0.1..=1e6).contains(s));
            Duration::from_secs_f64(given.unwrap_or(default))
        };
        Self {
            endpoint: get("HF_ENDPOINT")
                .map_or_else(|| DEFAULT_ENDPOINT.to_owned(), |e| e.trim_end_matches('/').to_owned()),
            token,
            cache: cache.unwrap_or_else(|| home.join("hub")),
            offline: is_true("HF_HUB_OFFLINE") || is_true("TRANSFORMERS_OFFLINE"),
            api_timeout: seconds("HF_HUB_ETAG_TIMEOUT", 10.0),
            stall_timeout: seconds("HF_HUB_DOWNLOAD_TIMEOUT", 10.0),
            retry_delay: Duration::from_secs(1),
            progress: !is_true("HF_HUB_DISABLE_PROGRESS_BARS"),
        }
    }

    /// Replaces the cache folder by `--download-dir`, if given.
    pub fn in_download_dir(mut self, download_dir: Option<&str>) -> Self {
        if let Some(dir) = download_dir {
            self.cache = expand_home(dir, std::env::var("HOME").ok().as_deref());
        }
        self
    }
}

fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

/// Expands a leading `~/`, as `huggingface_hub` does: a shell does not expand it after an equals sign.
fn expand_home(text: &str, home: Option<&str>) -> PathBuf {
    match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> HubSettings {
        HubSettings::from_lookup(|name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_cache_is_in_the_folder_of_huggingface_hub() {
        let cache = |variables: &[(&str, &str)]| settings(variables).cache.display().to_string();
        let home = ("HOME", "/h");
        assert_eq!(cache(&[home]), "/h/.cache/huggingface/hub");
        assert_eq!(cache(&[home, ("XDG_CACHE_HOME", "/x")]), "/x/huggingface/hub");
        assert_eq!(cache(&[home, ("HF_HOME", "~/hf")]), "/h/hf/hub");
        assert_eq!(cache(&[home, ("HF_HOME", "/a"), ("HUGGINGFACE_HUB_CACHE", "/b")]), "/b");
        assert_eq!(cache(&[home, ("HUGGINGFACE_HUB_CACHE", "/b"), ("HF_HUB_CACHE", "/c")]), "/c");
        assert_eq!(settings(&[home]).in_download_dir(Some("/d")).cache.display().to_string(), "/d");
    }

    #[test]
    fn the_token_comes_from_variables_or_its_file_and_is_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("token"), "hf_file\n").expect("written");
        let home = ("HF_HOME", folder.path().to_str().expect("text"));
        let token = |variables: &[(&str, &str)]| settings(variables).token;
        assert_eq!(token(&[home]).as_deref(), Some("hf_file"));
        assert_eq!(token(&[home, ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        let old = ("HUGGING_FACE_HUB_TOKEN", "hf_old");
        assert_eq!(token(&[home, old]).as_deref(), Some("hf_old"));
        assert_eq!(token(&[home, old, ("HF_TOKEN", "hf_new")]).as_deref(), Some("hf_new"));
        assert!(!format!("{:?}", settings(&[home])).contains("hf_file"));
    }

    #[test]
    fn switches_and_limits_are_read() {
        let s = settings(&[
            ("HF_ENDPOINT", "http://mirror:1/"),
            ("HF_HUB_OFFLINE", "yes"),
            ("HF_HUB_ETAG_TIMEOUT", "2.5"),
        ]);
        assert_eq!((s.endpoint.as_str(), s.offline), ("http://mirror:1", true));
        assert_eq!(s.api_timeout, Duration::from_millis(2500));
        assert_eq!(s.stall_timeout, Duration::from_secs(10));
        assert!(
            settings(&[("TRANSFORMERS_OFFLINE", "1")]).offline
                && !settings(&[("HF_HUB_OFFLINE", "0")]).offline
        );
        assert_eq!(settings(&[]).endpoint, "https://huggingface.co");
    }
}
