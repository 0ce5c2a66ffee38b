//! Results of a request do not depend on how its work is split into steps, or on the rest of the batch.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{
    Part, Worker, as_ids, chunked, decode_logits, enter, fixture, fixtures, greedy_sampling, options,
    relative_error, smollm2,
};
use sglang_model::Backend;
use sglang_proto::forward::{ForwardMode, InputLogprobSpec, NewRow};
use sglang_proto::worker::ModelWorker;

const MODEL: &str = "tiny-tied-llama3";

fn tiny(backend: Backend) -> Worker {
    Worker::new(options(fixtures().join(MODEL), backend))
}

fn prompts() -> Vec<Vec<u32>> {
    fixture(MODEL).cases.into_iter().map(|c| c.input_ids).collect()
}

fn batch_equals_alone(mut worker: Worker, prompts: &[Vec<u32>]) {
    let together = decode_logits(&mut worker, prompts, 4);
    for (i, prompt) in prompts.iter().enumerate() {
        worker.clear();
        let alone = decode_logits(&mut worker, std::slice::from_ref(prompt), 4);
        assert!(together[i] == alone[0], "prompt {i} of {} tokens differs from itself alone", prompt.len());
    }
}

#[test]
fn a_request_in_a_batch_gets_the_bits_it_gets_alone() {
    batch_equals_alone(tiny(Backend::Native), &prompts());
}

#[test]
fn a_quantised_request_in_a_batch_gets_the_bits_it_gets_alone() {
    let prompts: Vec<Vec<u32>> = fixture("smollm2").cases.into_iter().take(4).map(|c| c.input_ids).collect();
    batch_equals_alone(Worker::new(options(smollm2(), Backend::Native)), &prompts);
}

#[test]
fn a_prompt_in_chunks_gets_the_bits_of_the_whole() {
    let prompt = prompts().pop().unwrap();
    let mut worker = tiny(Backend::Native);
    let whole = worker.logits(&[enter(0, &prompt)]).pop().unwrap();
    for chunk in [1, 7, 64] {
        worker.clear();
        assert!(chunked(&mut worker, &prompt, chunk) == whole, "chunks of {chunk}");
    }
}

#[test]
fn a_prompt_in_chunks_agrees_with_the_whole_on_every_backend() {
    let prompt = prompts().pop().unwrap();
    for backend in [Backend::Native, Backend::Torch] {
        let mut worker = tiny(backend);
        let whole = worker.logits(&[enter(0, &prompt)]).pop().unwrap();
        for chunk in [1, 7, 64] {
            worker.clear();
            let error = relative_error(&chunked(&mut worker, &prompt, chunk), &whole);
            assert!(error < 1e-5, "{backend:?}, chunks of {chunk}: {error:.2e}");
        }
    }
}

#[test]
fn a_cached_prefix_gives_the_bits_of_a_fresh_prompt() {
    let prompt = prompts().pop().unwrap();
    let mut worker = tiny(Backend::Native);
    let fresh_batch = worker.batch(&[enter(0, &prompt)]);
    let fresh = worker.runner.all_logits(&fresh_batch).unwrap().pop().unwrap();
    let prefix = fresh_batch.out_cache_loc[..50].to_vec();
    let part =
        Part { row: 5, enters: Some(prefix), prefix_len: 50, ids: as_ids(&prompt[50..]), ..Part::default() };
    assert!(worker.logits(&[part]).pop().unwrap() == fresh);
}

#[test]
fn both_backends_give_the_same_logits() {
    for model in [MODEL, "tiny-untied-yarn"] {
        let prompts: Vec<Vec<u32>> = fixture(model).cases.into_iter().map(|c| c.input_ids).collect();
        let run =
            |backend| decode_logits(&mut Worker::new(options(fixtures().join(model), backend)), &prompts, 3);
        let (native, torch) = (run(Backend::Native), run(Backend::Torch));
        for (a, b) in native.iter().flatten().zip(torch.iter().flatten()) {
            let error = relative_error(a, b);
            assert!(error < 1e-5, "{model}: {error:.2e}");
        }
    }
}

#[test]
fn a_mixed_step_serves_prefill_and_decode_rows() {
    let prompts = prompts();
    for backend in [Backend::Native, Backend::Torch] {
        let mut worker = tiny(backend);
        let first = worker.run(&[enter(0, &prompts[2])]).unwrap().next_token_ids[0].unwrap();
        let decode =
            Part { row: 0, prefix_len: prompts[2].len(), ids: vec![-1], sample: true, ..Part::default() };
        let mut batch = worker.batch(&[decode, enter(1, &prompts[3])]);
        batch.mode = ForwardMode::Mixed;
        let mixed = worker.runner.forward(&batch).unwrap().next_token_ids;
        let cases = fixture(MODEL).cases;
        assert_eq!(first, cases[2].greedy[0]);
        assert_eq!(mixed, [Some(cases[2].greedy[1]), Some(cases[3].greedy[0])]);
    }
}

#[test]
fn only_the_rows_that_ask_are_sampled_and_a_chunk_in_between_is_not() {
    let prompts = prompts();
    let mut worker = tiny(Backend::Native);
    let silent = Part { sample: false, ..enter(0, &prompts[1]) };
    let result = worker.run(&[silent, enter(1, &prompts[2])]).unwrap();
    assert_eq!(result.next_token_ids[0], None);
    assert_eq!(result.next_token_ids[1], Some(fixture(MODEL).cases[2].greedy[0]));
    assert_eq!(result.nan, [false, false]);
}

#[test]
fn input_logprobs_are_the_log_softmax_of_the_prompts_rows() {
    let prompt = prompts().pop().unwrap();
    let mut worker = tiny(Backend::Native);
    let rows = worker.logits(&[enter(0, &prompt)]);
    worker.clear();
    let mut batch = worker.batch(&[enter(1, &prompts()[1]), enter(0, &prompt)]);
    batch.input_logprobs = vec![InputLogprobSpec {
        req_index: 1,
        row_start: 10,
        targets: prompt[11..].to_vec(),
        top_logprobs_num: 2,
        token_ids_logprob: vec![5],
    }];
    let answer = worker.runner.forward(&batch).unwrap().input_logprobs;
    assert_eq!((answer.len(), answer[0].req_index, answer[0].rows.len()), (1, 1, prompt.len() - 11));
    for (i, found) in answer[0].rows.iter().enumerate() {
        let row = &rows[10 + i];
        let best = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let log_sum = row.iter().map(|&x| f64::from(x - best).exp()).sum::<f64>().ln();
        let expected = |id: u32| (f64::from(row[id as usize] - best) - log_sum) as f32;
        assert!((found.logprob - expected(prompt[11 + i])).abs() < 1e-4);
        assert_eq!(found.token_ids[0].id, 5);
        assert!((found.token_ids[0].logprob - expected(5)).abs() < 1e-4);
        assert_eq!(found.top.len(), 2);
        assert_eq!(row[found.top[0].id as usize], best);
    }
}

#[test]
fn a_reused_row_keeps_nothing_of_its_last_request() {
    let prompts = prompts();
    let mut worker = tiny(Backend::Native);
    let cases = fixture(MODEL).cases;
    assert_eq!(worker.greedy(&prompts[3], 3), cases[3].greedy[..3]);
    assert_eq!(worker.greedy(&prompts[2], 3), cases[2].greedy[..3]);
    // A retracted request resumes by prefilling its prompt and output.
    let resumed: Vec<u32> = [prompts[3].as_slice(), &cases[3].greedy[..3]].concat();
    let mut batch = worker.batch(&[enter(0, &resumed)]);
    let mut sampling = (*greedy_sampling(prompts[3].len())).clone();
    sampling.output_ids = cases[3].greedy[..3].to_vec();
    batch.new_rows = vec![NewRow {
        req_pool_idx: 0,
        prefix_slots: Vec::new(),
        sampling: sampling.into(),
        embedding: None,
        lora_id: None,
    }];
    assert_eq!(worker.runner.forward(&batch).unwrap().next_token_ids, [Some(cases[3].greedy[3])]);
}
