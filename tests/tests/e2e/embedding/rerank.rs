//! `/v1/rerank` with cross-encoders and with a decoder that answers "yes" or "no".

use serde_json::{Value, json};
use sglang_e2e::Server;

use super::harness::{error, expected, floats, serve_path, texts};

fn check(folder: &str, scores: &Value) {
    // The flags given in the API document.
    let args = [
        "--disable-radix-cache",
        "--chunked-prefill-size",
        "-1",
        "--attention-backend",
        "triton",
        "--is-embedding",
    ];
    let server = serve_path(super::harness::fixtures().join(folder), &args);
    let all = expected();
    let documents = texts(&all["documents"]);
    let published: Vec<f64> =
        scores.as_array().unwrap().iter().map(|s| s["score"].as_f64().unwrap()).collect();
    let mut order: Vec<usize> = (0..documents.len()).collect();
    order.sort_by(|a, b| published[*b].total_cmp(&published[*a]));
    let body = json!({"model": "m", "query": all["query"], "documents": documents});
    let answer = server.post_json("/v1/rerank", &body).unwrap();
    let items = answer.as_array().unwrap();
    assert_eq!(items.len(), documents.len());
    for (item, index) in items.iter().zip(&order) {
        assert_eq!(item["index"], *index, "{answer}");
        assert_eq!(item["document"], documents[*index]);
        let score = item["score"].as_f64().unwrap();
        assert!(error(&[score], &[published[*index]]) < 1e-3, "{score} instead of {}", published[*index]);
        assert_eq!(item["meta_info"]["prompt_tokens"], scores[*index]["tokens"]);
    }
    let body = json!({"query": all["query"], "documents": documents, "return_documents": false, "top_n": 2});
    let best = server.post_json("/v1/rerank", &body).unwrap();
    assert_eq!(best.as_array().unwrap().len(), 2);
    assert!(best[0].get("document").is_none() && best[0]["index"] == order[0]);
    // Cohere's and Jina's form has the same order, and scores between 0 and 1.
    let object =
        server.post_json("/rerank", &json!({"model": "m", "query": all["query"], "documents": documents}));
    let object = object.unwrap();
    for (item, result) in items.iter().zip(object["results"].as_array().unwrap()) {
        let share = 1.0 / (1.0 + (-item["score"].as_f64().unwrap()).exp());
        assert!((result["relevance_score"].as_f64().unwrap() - share).abs() < 1e-6, "{object}");
        assert_eq!((&result["index"], &result["document"]["text"]), (&item["index"], &item["document"]));
    }
    let tokens: u64 = scores.as_array().unwrap().iter().map(|s| s["tokens"].as_u64().unwrap()).sum();
    assert_eq!(object["usage"]["total_tokens"], tokens);
    // A pair alone gets the same score as among others.
    let pair = json!({"text": [[all["query"], documents[1]]], "is_cross_encoder_request": true});
    let alone = server.post_json("/classify", &pair).unwrap();
    assert!(error(&floats(&alone[0]["embedding"]), &[published[1]]) < 1e-3);
}

#[test]
fn a_bert_cross_encoder_ranks_pairs_by_their_segments() {
    check("embedding-bert", &expected()["bert"]);
}

#[test]
fn a_roberta_cross_encoder_ranks_pairs() {
    check("embedding-roberta", &expected()["roberta"]);
}

const TEMPLATE: &str = "Judge whether the Document answers the Query. Note that the answer can only be \"yes\" or \
                        \"no\".\n{{ instruct | default('Be fair.') }}\nQuery: {{ messages[0]['content'] }}\nDocument: \
                        {{ messages[1]['content'] }}\nAnswer: ";

#[test]
fn a_decoder_ranks_by_the_share_of_yes() {
    let mut file = tempfile::NamedTempFile::with_suffix(".jinja").unwrap();
    std::io::Write::write_all(&mut file, TEMPLATE.as_bytes()).unwrap();
    let server = Server::start(&["--chat-template", file.path().to_str().unwrap()]).unwrap();
    let documents = ["Paris is the capital of France.", "Bananas are yellow."];
    let id = |word: &str| {
        let body = json!({"prompt": word, "add_special_tokens": false});
        server.post_json("/tokenize", &body).unwrap()["tokens"][0].clone()
    };
    let labels = [id("yes"), id("no")];
    for instruct in [None, Some("Be strict.")] {
        let body =
            json!({"query": "What is the capital of France?", "documents": documents, "instruct": instruct});
        let answer = server.post_json("/v1/rerank", &body).unwrap();
        let prompts = documents.map(|document| {
            TEMPLATE
                .replace("{{ instruct | default('Be fair.') }}", instruct.unwrap_or("Be fair."))
                .replace("{{ messages[0]['content'] }}", "What is the capital of France?")
                .replace("{{ messages[1]['content'] }}", document)
        });
        let scored =
            server.post_json("/v1/score", &json!({"items": prompts, "label_token_ids": labels})).unwrap();
        for item in answer.as_array().unwrap() {
            let row = floats(&scored["scores"][item["index"].as_u64().unwrap() as usize]);
            let share = row[0] / (row[0] + row[1]);
            assert!((item["score"].as_f64().unwrap() - share).abs() < 1e-4, "{answer} {scored}");
            assert_eq!(item["meta_info"], Value::Null);
        }
        assert!(answer[0]["score"].as_f64() >= answer[1]["score"].as_f64());
    }
}
