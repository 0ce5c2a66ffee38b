//! The accumulated log-probabilities of one request.

use sglang_proto::messages;
pub use sglang_proto::messages::{TokenLogprob, TopLogprobs};

/// Lists for the prompt and for the output. Prompt lists arrive once, output lists grow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logprobs {
    /// Prompt tokens.
    pub input_token: Vec<TokenLogprob>,
    /// Output tokens.
    pub output_token: Vec<TokenLogprob>,
    /// Most likely tokens per prompt position.
    pub input_top: Vec<TopLogprobs>,
    /// Most likely tokens per output position.
    pub output_top: Vec<TopLogprobs>,
    /// Requested tokens per prompt position.
    pub input_token_ids: Vec<TopLogprobs>,
    /// Requested tokens per output position.
    pub output_token_ids: Vec<TopLogprobs>,
}

impl Logprobs {
    /// Appends new lists.
    pub fn append(&mut self, mut new: Self) {
        self.input_token.append(&mut new.input_token);
        self.output_token.append(&mut new.output_token);
        self.input_top.append(&mut new.input_top);
        self.output_top.append(&mut new.output_top);
        self.input_token_ids.append(&mut new.input_token_ids);
        self.output_token_ids.append(&mut new.output_token_ids);
    }

    /// Whether the lists of the prompt have arrived.
    pub fn has_input(&self) -> bool {
        !(self.input_token.is_empty() && self.input_top.is_empty() && self.input_token_ids.is_empty())
    }

    /// Drops the lists of the prompt.
    pub fn clear_input(&mut self) {
        self.input_token.clear();
        self.input_top.clear();
        self.input_token_ids.clear();
    }

    /// Removes the first `n` output positions, which are known already.
    pub fn skip_output(&mut self, n: usize) {
        self.output_token.drain(..n.min(self.output_token.len()));
        self.output_top.drain(..n.min(self.output_top.len()));
        self.output_token_ids.drain(..n.min(self.output_token_ids.len()));
    }
}

impl From<messages::Logprobs> for Logprobs {
    fn from(new: messages::Logprobs) -> Self {
        Self {
            input_token: new.input_token.unwrap_or_default(),
            output_token: new.output_token.unwrap_or_default(),
            input_top: tops(new.input_top),
            output_top: tops(new.output_top),
            input_token_ids: tops(new.input_token_ids),
            output_token_ids: tops(new.output_token_ids),
        }
    }
}

/// As in the reference, a position without entries is null.
fn tops(list: Option<Vec<TopLogprobs>>) -> Vec<TopLogprobs> {
    let mut list = list.unwrap_or_default();
    list.iter_mut().for_each(|top| drop(top.take_if(|top| top.is_empty())));
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_lists_are_empty_and_positions_without_entries_are_null() {
        let new = messages::Logprobs {
            input_token: Some(vec![(None, 7), (Some(-1.5), 8)]),
            output_top: Some(vec![None, Some(vec![]), Some(vec![(-1.0, 3)])]),
            ..messages::Logprobs::default()
        };
        let lists = Logprobs::from(new);
        assert_eq!(lists.input_token, [(None, 7), (Some(-1.5), 8)]);
        assert_eq!(lists.output_top, [None, None, Some(vec![(-1.0, 3)])]);
        assert!(lists.output_token.is_empty() && lists.input_top.is_empty());
    }
}
