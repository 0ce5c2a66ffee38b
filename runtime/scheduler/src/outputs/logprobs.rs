//! Log-probabilities of a batch, as the wire's columns.

use sglang_planner::{InputLogprobs, OutputEvent};
use sglang_proto::forward::PositionLogprobs;
use sglang_proto::messages::{
    BatchTokenIDOutput, TokenLogprobIndices, TokenLogprobValues, TopLogprobIndices, TopLogprobValues,
};

/// The twelve log-probability columns of a batch, all absent when no request wants any.
#[derive(Default)]
pub(super) struct LogprobColumns {
    wanted: bool,
    input: [Columns; 3],
    output: [Columns; 3],
}

/// Values and ids of one kind: `[chosen, top, asked-for]`.
#[derive(Default)]
struct Columns {
    values: Vec<Option<Vec<Option<Vec<f32>>>>>,
    ids: Vec<Option<Vec<Option<Vec<u32>>>>>,
}

impl Columns {
    fn push(&mut self, rows: Option<Rows>) {
        let (values, ids) = match rows {
            None => (None, None),
            Some(rows) => {
                let (values, ids) = rows.into_iter().map(Option::unzip).unzip();
                (Some(values), Some(ids))
            }
        };
        self.values.push(values);
        self.ids.push(ids);
    }

    /// Lists per position, for the best and asked-for tokens.
    fn lists(self) -> (TopLogprobValues, TopLogprobIndices) {
        (Some(self.values), Some(self.ids))
    }

    /// One value per position, for the chosen token. A missing value keeps its id.
    fn scalars(self) -> (TokenLogprobValues, TokenLogprobIndices) {
        let values = self.values.into_iter().map(|rows| rows.map(|r| r.into_iter().map(first).collect()));
        let ids = self.ids.into_iter().map(|rows| rows.map(|r| r.into_iter().map(first).collect()));
        (Some(values.collect()), Some(ids.collect()))
    }
}

fn first<T: Copy>(list: Option<Vec<T>>) -> Option<T> {
    list.and_then(|l| l.first().copied())
}

impl LogprobColumns {
    pub(super) fn new(wanted: bool) -> Self {
        Self { wanted, ..Default::default() }
    }

    pub(super) fn push(&mut self, event: &OutputEvent) {
        if !self.wanted {
            return;
        }
        let info = &event.request;
        let asked = info.return_logprob;
        let top = asked && info.top_logprobs_num > 0;
        let by_id = asked && info.token_ids_logprob.is_some();
        let input = event.input_logprobs.as_ref().filter(|_| asked);
        self.input[0].push(input.map(chosen_input));
        self.input[1].push(input.filter(|_| top).map(|i| kind_rows(&i.rows, |p| &p.top)));
        self.input[2].push(input.filter(|_| by_id).map(|i| kind_rows(&i.rows, |p| &p.token_ids)));
        let output: Vec<Option<PositionLogprobs>> =
            event.output_logprobs.iter().map(|p| Some(p.clone())).collect();
        let chosen = event
            .output_ids
            .iter()
            .zip(&event.output_logprobs)
            .map(|(id, p)| Some((vec![p.logprob], vec![*id])))
            .collect();
        self.output[0].push(asked.then_some(chosen));
        self.output[1].push(top.then(|| kind_rows(&output, |p| &p.top)));
        self.output[2].push(by_id.then(|| kind_rows(&output, |p| &p.token_ids)));
    }

    pub(super) fn store(self, out: &mut BatchTokenIDOutput) {
        if !self.wanted {
            return;
        }
        let [input, input_top, input_ids] = self.input;
        let [output, output_top, output_ids] = self.output;
        // The first prompt position has an id but no value, which `scalars` of values alone cannot tell.
        (out.input_token_logprobs_val, out.input_token_logprobs_idx) = input.scalars();
        (out.input_top_logprobs_val, out.input_top_logprobs_idx) = input_top.lists();
        (out.input_token_ids_logprobs_val, out.input_token_ids_logprobs_idx) = input_ids.lists();
        (out.output_token_logprobs_val, out.output_token_logprobs_idx) = output.scalars();
        (out.output_top_logprobs_val, out.output_top_logprobs_idx) = output_top.lists();
        (out.output_token_ids_logprobs_val, out.output_token_ids_logprobs_idx) = output_ids.lists();
    }
}

type Rows = Vec<Option<(Vec<f32>, Vec<u32>)>>;

/// The prompt's own ids: the first has no value.
fn chosen_input(input: &InputLogprobs) -> Rows {
    input
        .token_ids
        .iter()
        .zip(&input.rows)
        .map(|(id, row)| Some((row.iter().map(|p| p.logprob).collect(), vec![*id])))
        .collect()
}

fn kind_rows(
    rows: &[Option<PositionLogprobs>],
    kind: impl Fn(&PositionLogprobs) -> &[sglang_proto::forward::TokenLogprob],
) -> Rows {
    rows.iter()
        .map(|row| {
            row.as_ref().map(|p| {
                let list = kind(p);
                (list.iter().map(|t| t.logprob).collect(), list.iter().map(|t| t.id).collect())
            })
        })
        .collect()
}
