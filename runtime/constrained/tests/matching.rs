//! Matchers: independence, ends, rollback, resumption, thinking, masks from the pool.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::{EOS, VOCAB, allowed, compile, ids, json};
use sglang_constrained::{
    AsyncMatcher, CompiledGrammar, GrammarSpec, MaskPool, MatchError, ReasonerGrammar, mask_allows,
};

fn regex(pattern: &str) -> Arc<CompiledGrammar> {
    compile(GrammarSpec::Regex(pattern.into())).unwrap()
}

fn pool() -> Arc<MaskPool> {
    Arc::new(MaskPool::new(2).unwrap())
}

fn set(mask: &[u32]) -> Vec<u32> {
    (0..VOCAB as u32).filter(|&id| mask_allows(mask, id)).collect()
}

#[test]
fn requests_of_one_grammar_do_not_see_each_other() {
    let grammar = json(r#"{"enum": ["aa", "ab", "ba"]}"#);
    let (mut one, mut other) = (grammar.matcher(), grammar.matcher());
    let fresh = allowed(&mut other);
    for id in ids("\"a") {
        one.accept(id).unwrap();
    }
    assert_eq!(allowed(&mut other), fresh);
    other.accept(b'"'.into()).unwrap();
    other.accept(b'b'.into()).unwrap();
    assert_eq!(allowed(&mut one), ids("ab"));
    assert_eq!(allowed(&mut other), ids("a"));
}

#[test]
fn a_matcher_that_is_given_back_starts_afresh() {
    let grammar = regex("(ab|cd)x");
    let fresh = allowed(&mut grammar.matcher());
    for text in ["ab", "cdx", ""] {
        let mut used = grammar.matcher();
        used.replay(ids(text)).unwrap();
        allowed(&mut used);
        if text.ends_with('x') {
            used.accept(EOS).unwrap();
        }
        drop(used);
        let mut next = grammar.matcher();
        assert_eq!((next.accepted(), next.is_terminated()), (0, false));
        assert_eq!(allowed(&mut next), fresh, "after {text:?}");
    }
}

#[test]
fn a_refused_token_leaves_the_matcher_where_it_is() {
    let grammar = regex("abc");
    let mut matcher = grammar.matcher();
    matcher.accept(b'a'.into()).unwrap();
    for token in [b'x'.into(), EOS, VOCAB as u32 - 1, u32::MAX] {
        assert_eq!(matcher.accept(token).unwrap_err(), MatchError::NotAccepted { token, accepted: 1 });
    }
    assert_eq!(allowed(&mut matcher), ids("b"));
    matcher.replay(ids("bc").into_iter().chain([EOS])).unwrap();
    matcher.accept(b'z'.into()).unwrap();
    assert!(matcher.is_terminated(), "tokens after the end are ignored");
}

#[test]
fn tokens_can_be_taken_back_across_the_end() {
    for (pattern, text) in [("abc", "abc"), ("ab*c?", "abbc"), ("(ab)+", "abab")] {
        let grammar = regex(pattern);
        let mut matcher = grammar.matcher();
        let mut masks = Vec::new();
        for token in ids(text).into_iter().chain([EOS]) {
            masks.push(allowed(&mut matcher));
            matcher.accept(token).unwrap();
        }
        for (back, mask) in masks.iter().rev().enumerate() {
            matcher.rollback(1).unwrap();
            assert_eq!(&allowed(&mut matcher), mask, "{pattern}, {} tokens back", back + 1);
            assert!(!matcher.is_terminated());
        }
        let error = matcher.rollback(1).unwrap_err();
        assert_eq!(error, MatchError::Rollback { wanted: 1, accepted: 0 });
    }
}

#[test]
fn a_resumed_request_goes_on_where_it_was() {
    let grammar =
        json(r#"{"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}}"#);
    let output = ids("{\"a\": [1, 22");
    let mut matcher = grammar.matcher();
    matcher.replay(output.iter().copied()).unwrap();
    let before = allowed(&mut matcher);
    drop(matcher);
    let mut resumed = grammar.matcher();
    resumed.replay(output).unwrap();
    assert_eq!(allowed(&mut resumed), before);
}

#[test]
fn small_buffers_are_refused() {
    let grammar = regex("a");
    let mut matcher = grammar.matcher();
    let error = matcher.fill_mask(&mut [0; 2]).unwrap_err();
    assert_eq!(error, MatchError::MaskTooSmall { needed: VOCAB.div_ceil(32), len: 2 });
    let mut wide = vec![u32::MAX; 20];
    matcher.fill_mask(&mut wide).unwrap();
    assert_eq!(set(&wide), ids("a"));
    assert!(
        wide.iter().map(|word| word.count_ones()).sum::<u32>() == 1,
        "words past the vocabulary are cleared"
    );
}

#[test]
fn masks_from_the_pool_equal_those_computed_here() {
    let grammar = json(r#"{"type": "array", "items": {"enum": ["a", "bc", 12]}}"#);
    let pool = pool();
    let texts = ["[\"a\", 12]", "[12,\"bc\",\"a\"]", "[]", "[ \"bc\" ]"];
    let mut requests: Vec<_> = texts
        .iter()
        .map(|text| (AsyncMatcher::new(grammar.matcher(), Arc::clone(&pool)), grammar.matcher(), ids(text)))
        .collect();
    for step in 0..texts.iter().map(|t| t.len()).max().unwrap() {
        for (pooled, direct, output) in &mut requests {
            let Some(&token) = output.get(step) else { continue };
            assert_eq!(set(pooled.mask().unwrap()), allowed(direct));
            pooled.accept(token).unwrap();
            direct.accept(token).unwrap();
        }
    }
    for (pooled, direct, output) in &mut requests {
        assert_eq!(set(pooled.mask().unwrap()), allowed(direct));
        assert!(pooled.accept(b'x'.into()).is_err());
        assert_eq!(set(pooled.mask().unwrap()), allowed(direct), "a refused token changes nothing");
        pooled.accept(EOS).unwrap();
        assert!(pooled.is_terminated());
        pooled.rollback(1 + output.len()).unwrap();
        assert_eq!((pooled.accepted(), pooled.is_terminated()), (0, false));
        assert_eq!(set(pooled.mask().unwrap()), allowed(&mut grammar.matcher()));
    }
}

#[test]
fn the_grammar_starts_after_the_thinking() {
    let grammar = regex("ab");
    let think_end = [7, 9];
    let matcher = || AsyncMatcher::new(grammar.matcher(), pool());
    let mut request = ReasonerGrammar::after_thinking(matcher(), &think_end);
    for token in [b'x'.into(), 7, 7, EOS] {
        assert_eq!(request.allowed().unwrap(), None, "everything is allowed while thinking");
        request.accept(token).unwrap();
        assert!(request.is_thinking() && !request.is_terminated());
    }
    request.replay(&[7, 9, b'a'.into()]).unwrap();
    assert!(!request.is_thinking());
    assert_eq!(set(request.allowed().unwrap().unwrap()), ids("b"));
    request.rollback(2).unwrap();
    assert!(request.is_thinking());
    request.accept(9).unwrap();
    assert_eq!(set(request.allowed().unwrap().unwrap()), ids("a"));
    assert_eq!(request.rollback(100).unwrap_err(), MatchError::Rollback { wanted: 100, accepted: 6 });
    request.replay(&[b'a'.into(), b'b'.into(), EOS]).unwrap();
    assert!(request.is_terminated());
    let mut immediate = ReasonerGrammar::immediate(matcher());
    assert_eq!(set(immediate.allowed().unwrap().unwrap()), ids("a"));
}
