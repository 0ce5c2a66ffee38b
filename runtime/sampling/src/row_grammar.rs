//! The grammar state of one request, which links the sampler with the grammar backend.

use sglang_proto::forward::ReqSampling;
use sglang_proto::grammar::{GrammarEnd, GrammarState};

/// The position of a request in its grammar. If the grammar fails, the row is sampled once without mask and then the
/// request ends, so that the other rows of the batch are not affected.
#[derive(Debug)]
pub struct RowGrammar(Result<Box<dyn GrammarState>, String>);

impl RowGrammar {
    /// The grammar state of a request that enters the worker, advanced over the output it already has; `None` without
    /// grammar.
    pub fn enter(sampling: &ReqSampling) -> Option<Self> {
        sampling.grammar.as_ref().map(|grammar| Self(grammar.start(&sampling.output_ids)))
    }

    /// The token mask for [`crate::Sampler::sample_row`]; `None` if every token is allowed. May block until the mask is
    /// computed.
    pub fn allowed(&mut self) -> Option<&[u32]> {
        let failed = match &mut self.0 {
            Ok(state) => state.allowed().err(),
            Err(_) => None,
        };
        if let Some(why) = failed {
            self.0 = Err(why);
        }
        // The mask is already computed, so the second call is free.
        self.0.as_mut().ok()?.allowed().ok()?
    }

    /// Advances the grammar by the sampled token. Returns how the request ends if it ends here. Call it once per
    /// sampled token.
    pub fn accept(&mut self, token: u32) -> Option<GrammarEnd> {
        let state = match &mut self.0 {
            Ok(state) => state,
            Err(why) => return Some(GrammarEnd::Failed(why.clone())),
        };
        if let Err(why) = state.accept(token) {
            self.0 = Err(why.clone());
            return Some(GrammarEnd::Failed(why));
        }
        state.is_terminated().then_some(GrammarEnd::Terminated)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sglang_proto::SamplingParams;
    use sglang_proto::grammar::{GrammarFactory, GrammarHandle};

    use super::*;
    use crate::{RowState, Sampler};

    const EOS: u32 = 7;

    /// A grammar that allows the ids of a list one after the other, then the end of sequence.
    #[derive(Debug)]
    struct Script(&'static [u32]);

    #[derive(Debug)]
    struct Place {
        script: &'static [u32],
        at: usize,
        mask: Vec<u32>,
    }

    impl GrammarState for Place {
        fn allowed(&mut self) -> Result<Option<&[u32]>, String> {
            match self.script.get(self.at).copied().unwrap_or(EOS) {
                99 => Err("the script is torn".into()),
                id => {
                    self.mask = vec![1 << id];
                    Ok(Some(&self.mask))
                }
            }
        }

        fn accept(&mut self, token: u32) -> Result<(), String> {
            if self.script.get(self.at).copied().unwrap_or(EOS) != token {
                return Err(format!("token {token} is not in the script"));
            }
            self.at += 1;
            Ok(())
        }

        fn is_terminated(&self) -> bool {
            self.at > self.script.len()
        }
    }

    impl GrammarFactory for Script {
        fn start(&self, output_ids: &[u32]) -> Result<Box<dyn GrammarState>, String> {
            let mut place = Place { script: self.0, at: 0, mask: Vec::new() };
            output_ids.iter().try_for_each(|id| place.accept(*id))?;
            Ok(Box::new(place))
        }
    }

    fn sampling(script: Option<&'static [u32]>, output_ids: &[u32]) -> ReqSampling {
        ReqSampling {
            params: SamplingParams {
                top_k: 1,
                min_new_tokens: 50,
                is_normalized: true,
                ..Default::default()
            },
            prompt_len: 2,
            output_ids: output_ids.to_vec(),
            stop_token_ids: vec![EOS],
            return_logprob: false,
            top_logprobs_num: 0,
            token_ids_logprob: Vec::new(),
            grammar: script.map(|ids| GrammarHandle::new(Arc::new(Script(ids)))),
        }
    }

    struct Rows {
        sampler: Sampler,
        rows: Vec<(RowState, Option<RowGrammar>)>,
    }

    impl Rows {
        fn new(requests: &[ReqSampling]) -> Self {
            let row = |req: &ReqSampling| {
                (RowState::new(Arc::new(req.clone()), 8).unwrap(), RowGrammar::enter(req))
            };
            Self { sampler: Sampler::new(), rows: requests.iter().map(row).collect() }
        }

        fn step(&mut self) -> Vec<(u32, Option<GrammarEnd>)> {
            let mut out = Vec::new();
            for (state, grammar) in &mut self.rows {
                let mut logits = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 9.0];
                let allowed = grammar.as_mut().and_then(RowGrammar::allowed);
                let token = self.sampler.sample_row(&mut logits, state, state.position(), allowed).token;
                state.observe(token);
                out.push((token, grammar.as_mut().and_then(|g| g.accept(token))));
            }
            out
        }
    }

    #[test]
    fn a_grammar_binds_its_own_row_and_no_other() {
        let mut rows = Rows::new(&[sampling(Some(&[3, 0]), &[]), sampling(None, &[])]);
        assert_eq!(rows.step(), [(3, None), (6, None)]);
        assert_eq!(rows.step(), [(0, None), (6, None)]);
        // The grammar now allows only the end of sequence, which overrides min_new_tokens.
        assert_eq!(rows.step(), [(EOS, Some(GrammarEnd::Terminated)), (6, None)]);
    }

    #[test]
    fn a_request_that_resumes_goes_on_where_its_output_ends() {
        let mut whole = Rows::new(&[sampling(Some(&[5, 4, 1]), &[])]);
        let all: Vec<_> = (0..4).map(|_| whole.step().remove(0)).collect();
        for at in 0..=3 {
            let output: Vec<u32> = all[..at].iter().map(|(token, _)| *token).collect();
            let mut resumed = Rows::new(&[sampling(Some(&[5, 4, 1]), &output)]);
            let rest: Vec<_> = (at..4).map(|_| resumed.step().remove(0)).collect();
            assert_eq!(rest, all[at..], "resumed after {at} tokens");
        }
    }

    #[test]
    fn a_grammar_that_fails_ends_its_request_alone() {
        let mut rows = Rows::new(&[sampling(Some(&[2, 99]), &[]), sampling(Some(&[1, 1]), &[])]);
        assert_eq!(rows.step(), [(2, None), (1, None)]);
        let failed = GrammarEnd::Failed("the script is torn".into());
        assert_eq!(rows.step(), [(6, Some(failed)), (1, None)]);
        let mut torn = Rows::new(&[sampling(Some(&[2]), &[4])]);
        let failed = GrammarEnd::Failed("token 4 is not in the script".into());
        assert_eq!(torn.step(), [(6, Some(failed))]);
    }
}
