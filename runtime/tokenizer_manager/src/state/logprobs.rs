//! Log-probabilities of one request as they accumulate.

use sglang_proto::messages::{TokenLogprobIndices, TokenLogprobValues, TopLogprobIndices, TopLogprobValues};

/// A token with its log-probability; `None` where the model gave none (the first prompt token).
pub type TokenLogprob = (Option<f32>, u32);
/// The best, or asked-for, tokens of one position; `None` where there are none.
pub type TopLogprobs = Option<Vec<(f32, u32)>>;

/// Lists of the prompt and of the output. Prompt lists come once, output lists grow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logprobs {
    /// Prompt tokens.
    pub input_token: Vec<TokenLogprob>,
    /// Output tokens.
    pub output_token: Vec<TokenLogprob>,
    /// Best tokens per prompt position.
    pub input_top: Vec<TopLogprobs>,
    /// Best tokens per output position.
    pub output_top: Vec<TopLogprobs>,
    /// Asked-for tokens per prompt position.
    pub input_token_ids: Vec<TopLogprobs>,
    /// Asked-for tokens per output position.
    pub output_token_ids: Vec<TopLogprobs>,
}

impl Logprobs {
    /// Appends what has arrived.
    pub fn append(&mut self, mut new: Self) {
        self.input_token.append(&mut new.input_token);
        self.output_token.append(&mut new.output_token);
        self.input_top.append(&mut new.input_top);
        self.output_top.append(&mut new.output_top);
        self.input_token_ids.append(&mut new.input_token_ids);
        self.output_token_ids.append(&mut new.output_token_ids);
    }

    /// Drops the lists of the prompt.
    pub fn clear_input(&mut self) {
        self.input_token.clear();
        self.input_top.clear();
        self.input_token_ids.clear();
    }

    /// Leaves out the first `n` output positions, which are known already.
    pub fn skip_output(&mut self, n: usize) {
        self.output_token.drain(..n.min(self.output_token.len()));
        self.output_top.drain(..n.min(self.output_top.len()));
        self.output_token_ids.drain(..n.min(self.output_token_ids.len()));
    }
}

/// Takes the lists of request `i` out of a batch message and joins values with ids.
pub(crate) fn take_tokens(
    values: &mut TokenLogprobValues,
    ids: &mut TokenLogprobIndices,
    i: usize,
) -> Vec<TokenLogprob> {
    let values = values.as_mut().and_then(|all| all.get_mut(i)).and_then(Option::take).unwrap_or_default();
    let ids = ids.as_mut().and_then(|all| all.get_mut(i)).and_then(Option::take).unwrap_or_default();
    values.into_iter().zip(ids).map(|(value, id)| (value, id.unwrap_or_default())).collect()
}

/// The same for lists of several tokens per position.
pub(crate) fn take_tops(
    values: &mut TopLogprobValues,
    ids: &mut TopLogprobIndices,
    i: usize,
) -> Vec<TopLogprobs> {
    let values = values.as_mut().and_then(|all| all.get_mut(i)).and_then(Option::take).unwrap_or_default();
    let ids = ids.as_mut().and_then(|all| all.get_mut(i)).and_then(Option::take).unwrap_or_default();
    let position = |(values, ids): (Option<Vec<f32>>, Option<Vec<u32>>)| match (values, ids) {
        // As in the reference, a position without entries is null.
        (Some(values), Some(ids)) if !values.is_empty() => Some(values.into_iter().zip(ids).collect()),
        _ => None,
    };
    values.into_iter().zip(ids).map(position).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_one_request_are_taken_and_missing_ones_are_empty() {
        let mut values = Some(vec![None, Some(vec![None, Some(-1.5)])]);
        let mut ids = Some(vec![None, Some(vec![Some(7), Some(8)])]);
        assert_eq!(take_tokens(&mut values, &mut ids, 1), [(None, 7), (Some(-1.5), 8)]);
        assert!(take_tokens(&mut values, &mut ids, 1).is_empty());
        assert!(take_tokens(&mut values, &mut ids, 9).is_empty());
        let mut values = Some(vec![Some(vec![None, Some(vec![]), Some(vec![-1.0])])]);
        let mut ids = Some(vec![Some(vec![None, Some(vec![]), Some(vec![3])])]);
        assert_eq!(take_tops(&mut values, &mut ids, 0), [None, None, Some(vec![(-1.0, 3)])]);
    }
}
