//! The routes that generate, and how each expresses the same request.

use serde_json::{Value, json};

/// A route that generates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Route {
    Generate,
    Completions,
    Chat,
    Messages,
    Responses,
    OllamaGenerate,
    OllamaChat,
}

pub const ROUTES: [Route; 7] = [
    Route::Generate,
    Route::Completions,
    Route::Chat,
    Route::Messages,
    Route::Responses,
    Route::OllamaGenerate,
    Route::OllamaChat,
];

/// What to generate. Everything is greedy unless there is a seed.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    pub prompt: &'a str,
    pub max_tokens: u64,
    pub stop: &'a [&'a str],
    pub n: u64,
    pub seed: Option<u64>,
}

impl<'a> Wish<'a> {
    pub fn new(prompt: &'a str, max_tokens: u64) -> Self {
        Self { prompt, max_tokens, stop: &[], n: 1, seed: None }
    }
}

impl Route {
    pub fn path(self) -> &'static str {
        match self {
            Self::Generate => "/generate",
            Self::Completions => "/v1/completions",
            Self::Chat => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
            Self::Responses => "/v1/responses",
            Self::OllamaGenerate => "/api/generate",
            Self::OllamaChat => "/api/chat",
        }
    }

    /// Whether the route supports several choices.
    pub fn has_choices(self) -> bool {
        matches!(self, Self::Generate | Self::Completions | Self::Chat)
    }

    /// Whether streams end with `data: [DONE]`.
    pub fn has_end_mark(self) -> bool {
        self.has_choices()
    }

    /// Whether the route supports stop strings.
    pub fn has_stop(self) -> bool {
        self != Self::Responses
    }

    pub fn body(self, wish: &Wish<'_>, stream: bool) -> Value {
        let Wish { prompt, max_tokens, stop, n, seed } = *wish;
        let temperature = if seed.is_some() { 1.0 } else { 0.0 };
        let messages = json!([{"role": "user", "content": prompt}]);
        match self {
            Self::Generate => json!({
                "text": prompt, "stream": stream,
                "sampling_params": {
                    "temperature": temperature, "max_new_tokens": max_tokens, "stop": stop, "n": n, "sampling_seed": seed,
                },
            }),
            Self::Completions => json!({
                "model": "m", "prompt": prompt, "stream": stream, "temperature": temperature, "max_tokens": max_tokens,
                "stop": stop, "n": n, "seed": seed, "stream_options": stream.then(|| json!({"include_usage": true})),
            }),
            Self::Chat => json!({
                "model": "m", "messages": messages, "stream": stream, "temperature": temperature,
                "max_tokens": max_tokens, "stop": stop, "n": n, "seed": seed,
                "stream_options": stream.then(|| json!({"include_usage": true})),
            }),
            Self::Messages => json!({
                "model": "m", "messages": messages, "stream": stream, "temperature": temperature,
                "max_tokens": max_tokens, "stop_sequences": stop,
            }),
            Self::Responses => json!({
                "input": prompt, "stream": stream, "temperature": temperature, "max_output_tokens": max_tokens,
            }),
            Self::OllamaGenerate => json!({
                "model": "m", "prompt": prompt, "stream": stream,
                "options": {"temperature": temperature, "num_predict": max_tokens, "stop": stop},
            }),
            Self::OllamaChat => json!({
                "model": "m", "messages": messages, "stream": stream,
                "options": {"temperature": temperature, "num_predict": max_tokens, "stop": stop},
            }),
        }
    }
}
