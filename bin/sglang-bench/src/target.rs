//! The server under test: its address, readiness and model name.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;

use crate::Usage;
use crate::backend::Backend;
use crate::cli::TargetArgs;

/// The address of a server, and how to authenticate.
#[derive(Clone, Debug)]
pub struct Target {
    pub base_url: String,
    pub client: Client,
    api_key: Option<String>,
}

impl Target {
    /// Checks the address and builds the HTTP client.
    ///
    /// # Errors
    /// If the address does not start with `http://`, or the client cannot be built.
    pub fn new(base_url: &str, api_key: Option<String>) -> Result<Self> {
        let url = reqwest::Url::parse(base_url).map_err(|e| {
            Usage(format!("server address {base_url:?} is not a URL such as http://127.0.0.1:30000: {e}"))
        })?;
        if url.scheme() != "http" || url.host_str().is_none() {
            let why = format!("server address {base_url:?} must start with http:// and name a host");
            return Err(Usage(why).into());
        }
        // Proxies from the environment would be measured too.
        let client = Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            // One connection per request, like separate users; a reused one might be closing.
            .pool_max_idle_per_host(0)
            .build()
            .context("cannot build an HTTP client")?;
        Ok(Self { base_url: base_url.trim_end_matches('/').to_owned(), client, api_key })
    }

    /// From the command line.
    ///
    /// # Errors
    /// See [`Target::new`].
    pub fn from_args(args: &TargetArgs) -> Result<Self> {
        let base_url = args.base_url.clone().unwrap_or_else(|| http_url(&args.host, args.port));
        Self::new(&base_url, args.api_key.clone())
    }

    /// A GET of `path`.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.authorize(self.client.get(format!("{}{path}", self.base_url)))
    }

    /// A POST to `path`.
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.authorize(self.client.post(format!("{}{path}", self.base_url)))
    }

    fn authorize(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.api_key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Waits until the server answers. Other servers may not have `/health`, so any answer counts.
    ///
    /// # Errors
    /// If there is no answer within `seconds`.
    pub async fn wait_until_ready(&self, backend: Backend, seconds: f64) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs_f64(seconds);
        let path = if backend == Backend::Sglang { "/health" } else { "/v1/models" };
        loop {
            let last = match self.get(path).timeout(Duration::from_secs(5)).send().await {
                Ok(response) if response.status().is_success() || backend != Backend::Sglang => return Ok(()),
                Ok(response) => format!("{path} answered {}", response.status()),
                Err(error) => describe(&error),
            };
            if Instant::now() >= deadline {
                bail!("{} was not ready within {seconds} s: {last}", self.base_url);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The model name for OpenAI requests.
    ///
    /// # Errors
    /// If none was given and `/v1/models` lists none.
    pub async fn model_name(&self, given: Option<&str>) -> Result<String> {
        if let Some(name) = given {
            return Ok(name.to_owned());
        }
        let hint = "name the model with --model";
        let response = self.get("/v1/models").timeout(Duration::from_secs(30)).send().await;
        let response = response.and_then(reqwest::Response::error_for_status);
        let list: Value = match response {
            Ok(response) => {
                response.json().await.with_context(|| format!("/v1/models is not JSON; {hint}"))?
            }
            Err(error) => bail!("cannot read /v1/models ({}); {hint}", describe(&error)),
        };
        let id = list.pointer("/data/0/id").and_then(Value::as_str);
        Ok(id.with_context(|| format!("/v1/models lists no model; {hint}"))?.to_owned())
    }
}

/// `http://host:port`, with brackets around an IPv6 address.
pub fn http_url(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("http://[{host}]:{port}")
    } else {
        format!("http://{host}:{port}")
    }
}

/// An error with its causes on one line: an HTTP client's outermost message says little.
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_and_written_out() {
        assert_eq!(Target::new("http://h:1/", None).unwrap().base_url, "http://h:1");
        assert_eq!(http_url("::1", 80), "http://[::1]:80");
        for bad in ["localhost:30000", "https://h:1", "", "http://"] {
            let error = format!("{:#}", Target::new(bad, None).unwrap_err());
            assert!(error.contains(&format!("{bad:?}")), "{error}");
        }
    }
}
