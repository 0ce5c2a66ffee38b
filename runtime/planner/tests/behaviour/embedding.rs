use std::sync::Arc;

use sglang_planner::simulator::{NoText, embedding_alone};
use sglang_planner::{AbortCause, NewRequest, PlannerConfig};
use sglang_proto::forward::EmbeddingSpec;
use sglang_proto::messages::FinishReason;

use crate::common::{Driver, prompt, request, small};

fn embed(rid: &str, input_ids: Vec<u32>) -> NewRequest {
    NewRequest { embedding: Some(Arc::new(EmbeddingSpec::default())), ..NewRequest::new(rid, input_ids) }
}

fn embedding_server(pool: usize) -> PlannerConfig {
    PlannerConfig { is_generation: false, chunked_prefill_size: Some(64), ..small(pool) }
}

fn assert_vector(driver: &Driver, rid: &str, ids: &[u32]) {
    let answer = driver.answer(rid);
    assert_eq!(answer.finish, Some(FinishReason::Length { length: 0 }), "{rid}");
    assert_eq!((answer.events, answer.output.len()), (1, 0), "{rid}");
    let vector = answer.last.as_ref().and_then(|event| event.embedding.clone()).unwrap();
    assert_eq!(vector.values, embedding_alone(ids), "{rid}");
}

#[test]
fn a_vector_is_the_same_alone_in_a_batch_in_chunks_and_from_the_cache() {
    for enable_overlap in [false, true] {
        let mut driver = Driver::new(PlannerConfig { enable_overlap, ..embedding_server(2048) });
        for (i, len) in [1, 5, 63, 64, 65, 200, 500].into_iter().enumerate() {
            driver.add(embed(&format!("r{i}"), prompt(3, len)));
        }
        driver.run();
        for (i, len) in [1, 5, 63, 64, 65, 200, 500].into_iter().enumerate() {
            assert_vector(&driver, &format!("r{i}"), &prompt(3, len));
        }
        driver.add(embed("again", prompt(3, 500)));
        driver.run();
        assert_vector(&driver, "again", &prompt(3, 500));
        assert_eq!(driver.answer("again").cached_tokens, 499);
        driver.assert_clean();
    }
}

#[test]
fn an_embedding_request_decodes_nothing_and_frees_what_it_held() {
    let mut driver = Driver::new(embedding_server(1024));
    for i in 0..100 {
        driver.add(embed(&format!("r{i}"), prompt(i, 40)));
    }
    driver.run();
    for i in 0..100 {
        assert_vector(&driver, &format!("r{i}"), &prompt(i, 40));
    }
    let decoded = driver.plans.iter().filter_map(|p| p.report.as_ref()).any(|r| r.num_decode_reqs > 0);
    assert!(!decoded);
    driver.assert_clean();
}

#[test]
fn a_prompt_may_fill_the_context_and_no_more() {
    let config = PlannerConfig { context_length: 128, ..embedding_server(1024) };
    let mut driver = Driver::new(config);
    driver.add(embed("full", prompt(1, 128)));
    driver.add(embed("over", prompt(1, 129)));
    driver.run();
    assert_vector(&driver, "full", &prompt(1, 128));
    assert_eq!(driver.answer("over").status(), Some(400));
    let message = driver.answer("over").abort_message();
    assert!(message.starts_with("Input length (129 tokens) exceeds the maximum allowed length (128 tokens)"));
    driver.assert_clean();
}

#[test]
fn a_request_of_the_other_kind_is_refused_and_the_rest_goes_on() {
    let mut driver = Driver::new(embedding_server(1024));
    driver.add(embed("before", prompt(1, 20)));
    driver.add(request("generates", prompt(2, 20), 8));
    driver.run();
    assert_vector(&driver, "before", &prompt(1, 20));
    assert_eq!(driver.answer("generates").status(), Some(400));
    let mut driver = Driver::new(small(1024));
    driver.add(embed("embeds", prompt(1, 20)));
    assert!(driver.answer("embeds").abort_message().contains("does not appear to be an embedding model"));
    driver.assert_clean();
}

#[test]
fn an_abort_ends_an_embedding_request_between_its_chunks() {
    let mut driver = Driver::new(embedding_server(1024));
    driver.add(embed("a", prompt(1, 500)));
    driver.step(&mut NoText);
    driver.planner.abort("a", &AbortCause::Client);
    driver.run();
    assert!(driver.answer("a").aborted());
    driver.add(embed("b", prompt(1, 500)));
    driver.run();
    assert_vector(&driver, "b", &prompt(1, 500));
    driver.assert_clean();
}
