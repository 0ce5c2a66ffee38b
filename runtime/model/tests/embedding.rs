//! Compares embeddings and scores with Hugging Face transformers in float32 (scripts/fixtures.d/embedding.py).
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::{Part, Worker, enter, fixtures, options, relative_error};
use sglang_model::{Backend, ModelOptions};
use sglang_proto::forward::{Embedding, EmbeddingSpec};
use sglang_proto::worker::{ModelWorker, PromptReach};

/// Largest relative error of an embedding.
const TOLERANCE: f64 = 1e-4;

struct Case {
    input_ids: Vec<u32>,
    spec: EmbeddingSpec,
    values: Vec<f32>,
}

fn cases(model: &str) -> Vec<Case> {
    let path = fixtures().join("embedding/expected.json");
    let all: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let ids = |v: &serde_json::Value| -> Vec<u32> {
        v.as_array().into_iter().flatten().map(|x| x.as_u64().unwrap() as u32).collect()
    };
    let case = |c: &serde_json::Value| Case {
        input_ids: ids(&c["input_ids"]),
        spec: EmbeddingSpec { token_type_ids: ids(&c["token_type_ids"]), ..Default::default() },
        values: c["values"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect(),
    };
    all[model].as_array().unwrap().iter().map(case).collect()
}

fn load(model: &str, backend: Backend) -> Worker {
    let options = options(fixtures().join("embedding").join(model), backend);
    // The bodies of generating architectures only embed with this flag.
    Worker::new(ModelOptions { is_embedding: true, ..options })
}

fn part(row: u32, ids: &[u32], spec: &EmbeddingSpec) -> Part {
    Part { embedding: Some(Arc::new(spec.clone())), ..enter(row, ids) }
}

fn embed(worker: &mut Worker, parts: &[Part]) -> Vec<Option<Embedding>> {
    worker.run(parts).unwrap().embeddings
}

fn single(worker: &mut Worker, case: &Case) -> Vec<f32> {
    worker.clear();
    embed(worker, &[part(0, &case.input_ids, &case.spec)]).pop().unwrap().unwrap().values
}

fn check(model: &str, reach: PromptReach) {
    for backend in [Backend::Native, Backend::Torch] {
        let mut worker = load(model, backend);
        assert!(!worker.runner.info().is_generation);
        assert_eq!(worker.runner.info().prompt_reach, reach, "{model}");
        let cases = cases(model);
        assert!(cases.len() >= 4);
        let mut alone = Vec::new();
        for case in &cases {
            let values = single(&mut worker, case);
            let error = relative_error(&values, &case.values);
            let length = case.input_ids.len();
            assert!(error < TOLERANCE, "{model} on {backend:?}, prompt of {length} tokens: {error:.2e}");
            alone.push(values);
        }
        // All prompts packed into one step.
        worker.clear();
        let parts: Vec<Part> =
            cases.iter().enumerate().map(|(i, c)| part(i as u32, &c.input_ids, &c.spec)).collect();
        for (i, (together, alone)) in embed(&mut worker, &parts).into_iter().zip(&alone).enumerate() {
            let together = together.unwrap().values;
            if backend == Backend::Native && reach != PromptReach::Bidirectional {
                assert_eq!(&together, alone, "{model}: prompt {i} beside others");
            } else {
                assert!(relative_error(&together, alone) < 1e-5, "{model}: prompt {i} beside others");
            }
        }
        if reach != PromptReach::Bidirectional {
            check_chunks(&mut worker, &cases, &alone, model);
        }
        if reach == PromptReach::Causal {
            check_cached(&mut worker, &cases, &alone, model);
        }
    }
}

/// Runs the longest prompt in three chunks, with another prompt beside the second chunk.
fn check_chunks(worker: &mut Worker, cases: &[Case], alone: &[Vec<f32>], model: &str) {
    let (last, other) = (cases.len() - 1, 1);
    let (case, beside) = (&cases[last], &cases[other]);
    worker.clear();
    let ids = |from: usize, to: usize| case.input_ids[from..to].iter().map(|&id| i64::from(id)).collect();
    let end = case.input_ids.len();
    let first = Part { ids: ids(0, 7), sample: false, ..part(0, &case.input_ids, &case.spec) };
    assert_eq!(embed(worker, &[first]), [None]);
    let second = Part { row: 0, prefix_len: 7, ids: ids(7, 20), ..Part::default() };
    let answers = embed(worker, &[second, part(1, &beside.input_ids, &beside.spec)]);
    assert_eq!(answers[0], None);
    assert!(relative_error(&answers[1].as_ref().unwrap().values, &alone[other]) < TOLERANCE);
    let third = Part { row: 0, prefix_len: 20, ids: ids(20, end), sample: true, ..Part::default() };
    let answer = embed(worker, &[third]).pop().unwrap().unwrap().values;
    assert!(relative_error(&answer, &alone[last]) < TOLERANCE, "{model} in chunks");
}

/// Runs a prompt whose prefix another request has computed.
fn check_cached(worker: &mut Worker, cases: &[Case], alone: &[Vec<f32>], model: &str) {
    let last = cases.len() - 1;
    let case = &cases[last];
    worker.clear();
    let batch = worker.batch(&[part(0, &case.input_ids, &case.spec)]);
    let prefix = batch.out_cache_loc[..11].to_vec();
    worker.runner.forward(&batch).unwrap();
    let rest = case.input_ids[11..].iter().map(|&id| i64::from(id)).collect();
    let cached = Part { enters: Some(prefix), prefix_len: 11, ids: rest, ..part(1, &[], &case.spec) };
    let answer = embed(worker, &[cached]).pop().unwrap().unwrap().values;
    assert!(relative_error(&answer, &alone[last]) < TOLERANCE, "{model} from the cache");
}

#[test]
fn llamas_last_token_gives_the_vector_where_no_file_says_otherwise() {
    check("llama-last", PromptReach::Causal);
}

#[test]
fn llamas_mean_is_taken_over_all_chunks_when_the_pooling_file_says_so() {
    check("llama-mean", PromptReach::EveryPosition);
}

#[test]
fn llama_scores_classes_at_the_last_token() {
    check("llama-classes", PromptReach::Causal);
}

#[test]
fn qwen2s_last_token_gives_the_vector_that_its_pooling_file_asks_for() {
    check("qwen2-last", PromptReach::Causal);
}

#[test]
fn qwen3s_first_token_gives_a_vector_of_any_length() {
    check("qwen3-cls", PromptReach::EveryPosition);
}

#[test]
fn mistrals_sliding_window_is_kept_when_it_embeds() {
    check("mistral-last", PromptReach::Causal);
}

#[test]
fn qwen2_and_qwen3_score_classes() {
    check("qwen2-classes", PromptReach::Causal);
    check("qwen3-classes", PromptReach::Causal);
}

#[test]
fn qwen2_and_qwen3_reward_models_have_two_layers() {
    check("qwen2-reward", PromptReach::Causal);
    check("qwen3-reward", PromptReach::Causal);
}

#[test]
fn berts_mean_over_a_pair_with_segments_equals_transformers() {
    check("bert-mean", PromptReach::Bidirectional);
}

#[test]
fn berts_first_token_gives_the_vector_where_no_file_says_otherwise() {
    check("bert-cls", PromptReach::Bidirectional);
}

#[test]
fn berts_cross_encoder_scores_pairs_through_the_activation_of_its_configuration() {
    check("bert-pairs", PromptReach::Bidirectional);
}

#[test]
fn robertas_positions_leave_padding_out() {
    check("roberta-cls", PromptReach::Bidirectional);
    let worker = load("roberta-cls", Backend::Native);
    assert_eq!(worker.runner.info().context_length, 48);
}

#[test]
fn roberta_scores_pairs() {
    check("roberta-pairs", PromptReach::Bidirectional);
}

#[test]
fn a_generating_checkpoint_embeds_when_it_is_told_to() {
    let mut options = options(fixtures().join("tiny-untied-yarn"), Backend::Native);
    options.is_embedding = true;
    let mut worker = Worker::new(options);
    assert!(!worker.runner.info().is_generation);
    let vector =
        embed(&mut worker, &[part(0, &[1, 2, 3], &EmbeddingSpec::default())]).pop().unwrap().unwrap();
    let length: f32 = vector.values.iter().map(|x| x * x).sum();
    assert!(vector.values.len() == 144 && (length - 1.0).abs() < 1e-5);
}

#[test]
fn dimensions_cut_the_vector_and_the_hidden_state_comes_when_it_is_wanted() {
    let mut worker = load("llama-last", Backend::Native);
    let case = &cases("llama-last")[2];
    let cut = EmbeddingSpec { dimensions: Some(16), return_pooled_hidden_states: true, ..Default::default() };
    let answers = embed(&mut worker, &[part(0, &case.input_ids, &cut), part(1, &case.input_ids, &case.spec)]);
    let (cut, whole) = (answers[0].clone().unwrap(), answers[1].clone().unwrap());
    let scale = whole.values[..16].iter().map(|x| x * x).sum::<f32>().sqrt();
    let expected: Vec<f32> = whole.values[..16].iter().map(|x| x / scale).collect();
    assert!(relative_error(&cut.values, &expected) < 1e-5);
    assert_eq!((cut.pooled_hidden_state, whole.values.len()), (None, 48));

    let mut worker = load("llama-classes", Backend::Native);
    let wanted = EmbeddingSpec { return_pooled_hidden_states: true, ..Default::default() };
    let answers = embed(&mut worker, &[part(0, &case.input_ids, &wanted), part(1, &[3], &case.spec)]);
    let (with, without) = (answers[0].clone().unwrap(), answers[1].clone().unwrap());
    assert_eq!((with.values.len(), with.pooled_hidden_state.unwrap().len()), (3, 48));
    assert_eq!(without.pooled_hidden_state, None);
}
