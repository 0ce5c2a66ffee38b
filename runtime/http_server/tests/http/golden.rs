//! Compares exchanges recorded from the reference that do not depend on a model's output, field by field.
//! (`tests/tests/e2e/golden` replays all exchanges on real servers.)

use sglang_golden::{Answer, differences, exchange};

use crate::common;

const NAMES: [&str; 67] = [
    "error-404-path",
    "error-405-method",
    "error-chat-content-type",
    "error-chat-empty-body",
    "error-chat-empty-messages",
    "error-chat-image",
    "error-chat-lora-colon",
    "error-chat-no-messages",
    "error-chat-required-and-format",
    "error-chat-stream-meta",
    "error-chat-stream-temperature",
    "error-chat-temperature",
    "error-chat-too-many-tokens",
    "error-chat-tool-missing",
    "error-chat-tool-unknown",
    "error-completions-empty",
    "error-completions-max_tokens",
    "error-dp-header",
    "error-embeddings-empty",
    "error-embeddings-on-generation-model",
    "error-encode-on-generation-model",
    "error-classify-on-generation-model",
    "error-generate-custom-processor-off",
    "error-generate-dp-rank",
    "error-generate-duplicate-rids",
    "error-generate-embeds-radix",
    "error-generate-empty-ids",
    "error-generate-hidden-states-off",
    "error-generate-ids-of-strings",
    "error-generate-logprob_start_len",
    "error-generate-lora-off",
    "error-generate-no-input",
    "error-generate-rid-count",
    "error-generate-sampling-type",
    "error-generate-stream-temperature",
    "error-generate-temperature",
    "error-generate-text-int",
    "error-generate-too-many-new",
    "error-generate-top_k",
    "error-generate-top_p",
    "error-generate-two-grammars",
    "error-generate-unknown-sampling-key",
    "error-load-lora-off",
    "error-models-unknown",
    "error-rerank-empty-query",
    "error-rerank-on-generation-model",
    "error-tokenize-both",
    "error-tokenize-neither",
    "error-detokenize-strings",
    "flush_cache",
    "flush_cache-bad-timeout",
    "freeze_gc",
    "health",
    "health_generate",
    "ready",
    "ping",
    "abort-unknown",
    "info-root",
    "cors-get",
    "cors-preflight",
    "set_internal_state-unknown",
    "update_weight_version",
    "error-anthropic-bad-json",
    "error-anthropic-no-max_tokens",
    "error-anthropic-temperature",
    "error-ollama-no-model",
    "ollama-show",
];

#[actix_web::test]
async fn recorded_exchanges_are_answered_alike() {
    let server = common::start(&[]).await;
    let mut out = Vec::new();
    for name in NAMES {
        let exchange = exchange("generate", name);
        let mut request = server.client.request(exchange.method.parse().unwrap(), server.url(&exchange.path));
        for (key, value) in &exchange.headers {
            request = request.header(key, value);
        }
        let response = request.body(exchange.body.clone()).send().await.unwrap();
        let answer = Answer {
            status: response.status().as_u16(),
            headers: response
                .headers()
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
                .collect(),
            body: response.text().await.unwrap(),
        };
        out.extend(differences(&exchange, &answer));
    }
    assert!(out.is_empty(), "{} differences:\n{}", out.len(), out.join("\n"));
}
