//! A server on a real port, over real links, with an engine that needs no model.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

#[path = "../../../../tokenizer_manager/tests/common/byte_codec.rs"]
pub mod byte_codec;
pub mod engine;
pub mod log;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use sglang_http_server::app::{App, ModelFacts};
use sglang_http_server::completion::template::CompletionTemplate;
use sglang_http_server::environment::EnvSettings;
use sglang_http_server::server;
use sglang_ipc::{Endpoints, Identity, PullLink, PushLink};
use sglang_proto::wire::Role;
use sglang_server_args::ServerArgs;
use sglang_tokenizer_manager::manager::{Status, TokenizerManager};
use sglang_tokenizer_manager::requests::embedding::EmbeddingFacts;
use sglang_tokenizer_manager::requests::sampling;
use sglang_tokenizer_manager::requests::tokenize::RequestLimits;

use byte_codec::{ByteCodec, VOCAB_SIZE};
use engine::Engine;

/// A running server.
pub struct TestServer {
    pub address: SocketAddr,
    pub engine: Engine,
    pub app: web::Data<App>,
    pub client: Client,
    pub dir: tempfile::TempDir,
    handle: actix_web::dev::ServerHandle,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // Dropping the future is enough: the stop command is sent when it is made.
        drop(self.handle.stop(false));
    }
}

/// Starts a server with these additional flags.
pub async fn start(flags: &[&str]) -> TestServer {
    start_with(flags, EnvSettings { health_check_timeout: Duration::from_millis(300), ..Default::default() })
        .await
}

pub async fn start_with(flags: &[&str], env: EnvSettings) -> TestServer {
    start_kind(flags, env, None).await
}

/// Starts a server of an embedding model.
pub async fn start_embedding(facts: EmbeddingFacts) -> TestServer {
    start_embedding_with(&[], EnvSettings::default(), facts).await
}

/// The same with additional flags and another environment.
pub async fn start_embedding_with(flags: &[&str], env: EnvSettings, facts: EmbeddingFacts) -> TestServer {
    start_kind(&[&["--is-embedding"], flags].concat(), env, Some(facts)).await
}

async fn start_kind(flags: &[&str], env: EnvSettings, embedding: Option<EmbeddingFacts>) -> TestServer {
    let mut argv = vec!["sglang-launch", "--model-path", "MODELS/tiny", "--context-length", "4096"];
    argv.extend(flags);
    let args = ServerArgs::parse_from(argv).unwrap_or_else(|_| panic!("flags"));
    let dir = tempfile::tempdir().unwrap();
    let endpoints = Endpoints::in_dir(dir.path());
    let pull = PullLink::bind(&endpoints.tokenizer).await.unwrap();
    let identity = Arc::new(Identity::of_life(Role::TokenizerManager, 1, Value::Null));
    let push = PushLink::connect(&endpoints.scheduler_input, identity);
    let limits = RequestLimits {
        context_len: 4096,
        vocab_size: VOCAB_SIZE,
        preferred_sampling_params: args.preferred_sampling_params.as_ref().map(sampling::read::native),
        allow_auto_truncate: false,
        default_priority: None,
        hidden_states: args.hidden_states(),
        dp_size: 1,
        grammars: args.grammar_backend != "none",
        embedding,
        codec: Some(Arc::new(ByteCodec::default())),
    };
    let manager = TokenizerManager::new(
        limits,
        Status::new(false, true, Duration::from_secs(30)),
        push,
        Default::default(),
        false,
    );
    tokio::spawn(manager.clone().handle_loop(pull));
    let facts = ModelFacts {
        model_type: Some("llama".into()),
        architectures: vec!["LlamaForCausalLM".into()],
        ..Default::default()
    };
    let template = CompletionTemplate::of_server(&args).unwrap();
    let app = web::Data::new(App::new(args, env, facts, template, manager));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = server::serve(app.clone(), listener).unwrap();
    let handle = server.handle();
    tokio::spawn(server);
    let engine = Engine::start(dir.path()).await;
    let client = Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
    let server = TestServer { address, engine, app, client, dir, handle };
    for _ in 0..500 {
        if server.app.manager.status.is_up() {
            return server;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the server did not come up");
}

/// The `data:` lines of a stream.
pub fn events(text: &str) -> Vec<String> {
    text.split("\n\n").filter_map(|e| e.strip_prefix("data: ")).map(str::to_owned).collect()
}

impl TestServer {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Response {
        self.client.post(self.url(path)).json(&body).send().await.unwrap()
    }

    /// Status and JSON of a call.
    pub async fn call(&self, path: &str, body: Value) -> (u16, Value) {
        let response = self.post(path, body).await;
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(json!(text)))
    }

    /// The JSON of a call that must succeed.
    pub async fn ok(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(path, body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Waits until the first running request has a token.
    pub async fn until_first_token(&self) {
        let registry = &self.app.manager.registry;
        while !registry.states().iter().any(|state| !state.output().output_ids.is_empty()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The chunks of a stream, which must end with the end mark.
    pub async fn chunks(&self, path: &str, body: Value) -> Vec<Value> {
        let response = self.post(path, body).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        let mut events = events(&response.text().await.unwrap());
        assert_eq!(events.pop().as_deref(), Some("[DONE]"));
        events.iter().map(|e| serde_json::from_str(e).unwrap()).collect()
    }
}
