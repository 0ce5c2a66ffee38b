//! Converts the log-probabilities of an event to the form of the message.

use sglang_planner::{InputLogprobs, OutputEvent};
use sglang_proto::forward::{PositionLogprobs, TokenLogprob};
use sglang_proto::messages::{self, Logprobs, TopLogprobs};

/// The log-probability lists that the event's request asked for; `None` if it asked for none.
pub(super) fn logprobs(event: &OutputEvent) -> Option<Box<Logprobs>> {
    let info = &event.request;
    if !info.return_logprob {
        return None;
    }
    let top = info.top_logprobs_num > 0;
    let by_id = info.token_ids_logprob.is_some();
    let input = event.input_logprobs.as_ref();
    let output = &event.output_logprobs;
    let prompt_tops = |list: fn(&PositionLogprobs) -> TopLogprobs| {
        input.map(|input| input.rows.iter().map(|row| row.as_ref().and_then(list)).collect())
    };
    Some(Box::new(Logprobs {
        input_token: input.map(prompt_tokens),
        output_token: Some(
            event.output_ids.iter().zip(output).map(|(id, p)| (Some(p.logprob), *id)).collect(),
        ),
        input_top: if top { prompt_tops(best) } else { None },
        output_top: top.then(|| output.iter().map(best).collect()),
        input_token_ids: if by_id { prompt_tops(asked_for) } else { None },
        output_token_ids: by_id.then(|| output.iter().map(asked_for).collect()),
    }))
}

/// Rows of the prompt's ids; the first has no value.
fn prompt_tokens(input: &InputLogprobs) -> Vec<messages::TokenLogprob> {
    let rows = input.token_ids.iter().zip(&input.rows);
    rows.map(|(id, row)| (row.as_ref().map(|p| p.logprob), *id)).collect()
}

fn best(position: &PositionLogprobs) -> TopLogprobs {
    Some(pairs(&position.top))
}

fn asked_for(position: &PositionLogprobs) -> TopLogprobs {
    Some(pairs(&position.token_ids))
}

fn pairs(tokens: &[TokenLogprob]) -> Vec<(f32, u32)> {
    tokens.iter().map(|token| (token.logprob, token.id)).collect()
}
