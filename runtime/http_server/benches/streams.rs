//! Benchmarks of the cost of a token in the stream of every dialect: from the detokenizer's row to the bytes for the
//! client. They leave out tokenizing, links and sockets, and the parsers are off.
//!
//! `cargo bench -p sglang-http-server` prints the time for an answer of 256 tokens. A dialect may cost at most a tenth
//! more than `chat`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web;
use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures::{FutureExt, Stream, StreamExt};
use serde_json::{Map, Value, json};
use sglang_http_server::answer::format::AnswerFormat;
use sglang_http_server::answer::steps::steps;
use sglang_http_server::apis::{anthropic, native, ollama, openai, responses};
use sglang_http_server::app::{App, ModelFacts};
use sglang_http_server::environment::EnvSettings;
use sglang_ipc::{Endpoints, Identity, PushLink};
use sglang_proto::messages::{Counts, GenerationOutput, StrOutput};
use sglang_proto::wire::{Role, TokenIds};
use sglang_server_args::ServerArgs;
use sglang_tokenizer_manager::manager::{Generation, ShowOptions, Status, TokenizerManager};
use sglang_tokenizer_manager::requests::GenerateReqInput;
use sglang_tokenizer_manager::requests::tokenize::RequestLimits;
use sglang_tokenizer_manager::state::RequestHandle;

const TOKENS: u64 = 256;

type Pieces = Pin<Box<dyn Stream<Item = Bytes>>>;
type Dialect = fn(&web::Data<App>, RequestHandle) -> Pieces;

fn limits() -> RequestLimits {
    RequestLimits {
        context_len: 4096,
        vocab_size: 1000,
        preferred_sampling_params: None,
        allow_auto_truncate: false,
        default_priority: None,
        hidden_states: sglang_proto::CaptureHiddenMode::Null,
        dp_size: 1,
        grammars: false,
        embedding: None,
        codec: None,
    }
}

fn app(folder: &std::path::Path) -> web::Data<App> {
    let argv = ["sglang-launch", "--model-path", "MODEL", "--incremental-streaming-output"];
    let args = ServerArgs::parse_from(argv).unwrap_or_else(|_| panic!("flags"));
    let identity = Arc::new(Identity::of_life(Role::TokenizerManager, 1, Value::Null));
    let push = PushLink::connect(&Endpoints::in_dir(folder).scheduler_input, identity);
    let manager = TokenizerManager::new(
        limits(),
        Status::new(false, false, Duration::ZERO),
        push,
        Default::default(),
        false,
    );
    web::Data::new(App::new(args, EnvSettings::default(), ModelFacts::default(), None, manager))
}

fn body(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn enter(app: &App, rid: &str) -> RequestHandle {
    let request = GenerateReqInput::from_json(&body(json!({"input_ids": [1, 2], "rid": rid}))).unwrap();
    let item = request.normalize().unwrap().items.remove(0);
    app.manager.registry.register(limits().tokenize(item).unwrap(), Instant::now()).unwrap()
}

fn chat(app: &web::Data<App>, handle: RequestHandle) -> Pieces {
    let options = openai::chat::stream::ChatStreamOptions {
        model: "model".into(),
        n: 1,
        format: AnswerFormat::default(),
        logprobs: false,
        stream_options: Default::default(),
        return_cached_tokens_details: false,
    };
    Box::pin(openai::chat::stream::stream(app.clone(), options, vec![handle]))
}

fn completions(app: &web::Data<App>, handle: RequestHandle) -> Pieces {
    let request = body(json!({"model": "model", "prompt": "x"}));
    let request = openai::completions::request::CompletionRequest::from_json(&request).unwrap();
    Box::pin(openai::completions::stream::stream(app.clone(), request, Default::default(), vec![handle]))
}

fn messages(_: &web::Data<App>, handle: RequestHandle) -> Pieces {
    let frame =
        anthropic::stream::MessageFrame { model: "model".into(), prompt_tokens: 2, cache_report: false };
    Box::pin(anthropic::stream::stream(frame, steps(vec![handle], &AnswerFormat::default())))
}

fn of_responses(app: &web::Data<App>, handle: RequestHandle) -> Pieces {
    let request = body(json!({"model": "model", "input": "x"}));
    let request = responses::request::ResponsesRequest::from_json(&request).unwrap();
    let draft = responses::stream::Draft::new(app, &request, &AnswerFormat::default(), None);
    Box::pin(responses::stream::stream(app.clone(), draft, vec![handle]))
}

fn of_ollama(_: &web::Data<App>, handle: RequestHandle) -> Pieces {
    let frame = ollama::stream::Frame {
        route: ollama::response::Route::Chat,
        model: "model".into(),
        with_context: false,
        codec: None,
    };
    Box::pin(ollama::stream::stream(frame, &AnswerFormat::default(), vec![handle]))
}

fn of_native(app: &web::Data<App>, handle: RequestHandle) -> Pieces {
    let generation = Generation { handles: vec![handle], is_single: true, show: ShowOptions::default() };
    Box::pin(native::generate::chunks(app.clone(), generation))
}

/// Takes every piece that is ready.
fn drain(pieces: &mut Pieces) -> usize {
    let mut bytes = 0;
    while let Some(Some(piece)) = pieces.next().now_or_never() {
        bytes += piece.len();
    }
    bytes
}

fn row(rid: &str, i: u64) -> StrOutput {
    let output = GenerationOutput {
        rid: rid.to_owned(),
        output_ids: TokenIds(vec![7]),
        output_offset: Some(i),
        counts: Counts { prompt_tokens: 2, completion_tokens: i + 1, ..Counts::default() },
        ..GenerationOutput::default()
    };
    StrOutput { output, text: " word".into() }
}

fn streams(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    let folder = tempfile::tempdir().unwrap();
    let app = app(folder.path());
    let dialects: [(&str, Dialect); 6] = [
        ("chat", chat),
        ("completions", completions),
        ("messages", messages),
        ("responses", of_responses),
        ("ollama", of_ollama),
        ("native", of_native),
    ];
    let mut group = c.benchmark_group("stream");
    group.throughput(Throughput::Elements(TOKENS));
    let mut number = 0;
    for (name, dialect) in dialects {
        group.bench_function(name, |b| {
            b.iter_batched(
                || {
                    number += 1;
                    let rid = format!("r{number}");
                    let mut pieces = dialect(&app, enter(&app, &rid));
                    app.manager.registry.apply(row(&rid, 0));
                    assert!(drain(&mut pieces) > 0, "{name} says nothing of the first token");
                    (rid, pieces)
                },
                |(rid, mut pieces)| {
                    for i in 1..=TOKENS {
                        app.manager.registry.apply(row(&rid, i));
                        assert!(drain(&mut pieces) > 0, "{name} says nothing of token {i}");
                    }
                    pieces
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, streams);
criterion_main!(benches);
