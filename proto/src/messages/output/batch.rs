//! The batch messages, and the list that contains each field of a row on the wire: the reference's lists in its order,
//! and ours in the extension.

use super::columns::{columns, generation_columns};
use super::{EmbeddingOutput, StrOutput, TokenIdOutput};

generation_columns! {
    /// New tokens of a batch, from the scheduler to the detokenizer.
    BatchTokenIDOutput of TokenIdOutput:
    rids: Rids = output.rid,
    http_worker_ipcs: Unused,
    finished_reasons: List = output.finished_reason,
    decoded_texts: Blank,
    decode_ids: List = decode_ids,
    read_offsets: List = read_offset,
    output_ids: Optional = output.output_ids,
    skip_special_tokens: List = skip_special_tokens,
    spaces_between_special_tokens: List = spaces_between_special_tokens,
    no_stop_trim: List = no_stop_trim,
    prompt_tokens: List = output.counts.prompt_tokens,
    reasoning_tokens: List = output.counts.reasoning_tokens,
    completion_tokens: List = output.counts.completion_tokens,
    cached_tokens: List = output.counts.cached_tokens,
}

generation_columns! {
    /// New text of a batch, from the detokenizer to the tokenizer manager.
    BatchStrOutput of StrOutput:
    rids: Rids = output.rid,
    http_worker_ipcs: Unused,
    finished_reasons: List = output.finished_reason,
    output_strs: List = text,
    output_ids: Optional = output.output_ids,
    prompt_tokens: List = output.counts.prompt_tokens,
    completion_tokens: List = output.counts.completion_tokens,
    reasoning_tokens: List = output.counts.reasoning_tokens,
    cached_tokens: List = output.counts.cached_tokens,
}

columns! {
    /// Finished embeddings of a batch, from the scheduler to the tokenizer manager.
    BatchEmbeddingOutput of EmbeddingOutput:
    rids: Rids = rid,
    http_worker_ipcs: Unused,
    finished_reasons: List = finished_reason,
    embeddings: List = embedding,
    prompt_tokens: List = counts.prompt_tokens,
    cached_tokens: List = counts.cached_tokens,
    placeholder_tokens_idx: Unused,
    placeholder_tokens_val: Unused,
    ;
    retraction_counts: Optional = counts.num_retractions,
    cached_tokens_details: Sparse = cached_tokens_details,
    time_stats: Unused,
    pooled_hidden_states: Sparse = pooled_hidden_state,
    ; own
    req_time_stats: Sparse = time_stats,
    attempts: Sparse = attempt,
}

#[cfg(test)]
mod tests {
    use super::super::{Counts, GenerationOutput};
    use super::*;
    use crate::messages::{Attempt, FinishReason};
    use crate::wire::{Origin, Role, TokenIds, decode, encode};

    fn rows() -> Vec<StrOutput> {
        let row = |rid: &str, text: &str, ids: &[u32]| StrOutput {
            text: text.into(),
            output: GenerationOutput {
                rid: rid.into(),
                output_ids: TokenIds(ids.to_vec()),
                counts: Counts { completion_tokens: ids.len() as u64, ..Counts::default() },
                ..GenerationOutput::default()
            },
        };
        vec![row("a", "x", &[1]), row("b", "yz", &[2, 3])]
    }

    #[test]
    fn a_batch_without_rows_that_are_named_is_refused() {
        let nameless = rmp_serde::to_vec(&("BatchStrOutput", (), (), [(); 1], ["x"])).unwrap();
        let error = decode::<BatchStrOutput>(&nameless).unwrap_err().to_string();
        assert!(error.contains("a list of request ids"), "{error}");
    }

    #[test]
    fn lists_of_another_length_than_the_ids_leave_defaults_and_are_read_over() {
        let none: [(); 0] = [];
        let counts = [7_u64, 8, 9];
        let head = (none, ["x"], (), counts, none, none, none);
        let (finished, texts, ids, prompt, completion, reasoning, cached) = head;
        let mut frame = rmp_serde::to_vec(&(
            "BatchStrOutput",
            ["a", "b"],
            (),
            finished,
            texts,
            ids,
            prompt,
            completion,
            reasoning,
            cached,
        ))
        .unwrap();
        // The nineteen required elements that follow, all null.
        frame[0] = 0xdc;
        let rest = std::mem::replace(&mut frame, vec![0xdc, 0, 10 + 19]).split_off(1);
        frame.extend(rest);
        frame.extend([0xc0; 19]);
        let (batch, _) = decode::<BatchStrOutput>(&frame).unwrap();
        let rows = batch.rows;
        assert_eq!((rows[0].text.as_str(), rows[1].text.as_str()), ("x", ""));
        assert_eq!((rows[0].output.counts.prompt_tokens, rows[1].output.counts.prompt_tokens), (7, 8));
        assert_eq!(rows.len(), 2);
        assert!(decode::<BatchStrOutput>(&frame[..40]).is_err());
    }

    #[test]
    fn a_list_that_no_row_needs_is_null() {
        let mut batch = BatchStrOutput { rows: rows() };
        let without = encode(&batch, None).unwrap();
        batch.rows[1].output.dp_rank = Some(0);
        let with = encode(&batch, None).unwrap();
        // The null became a list of null and 0.
        assert_eq!(with.len(), without.len() + 2);
        assert_eq!(decode::<BatchStrOutput>(&with).unwrap().0, batch);
    }

    #[test]
    fn rows_survive_the_wire() {
        let mut batch = BatchStrOutput { rows: rows() };
        batch.rows[0].output.finished_reason = Some(FinishReason::Length { length: 1 });
        batch.rows[1].output.output_offset = Some(4);
        batch.rows[0].output.output_offset = Some(0);
        batch.rows[1].output.attempt = Some(Attempt { life: 2, number: 1 });
        let origin = Some(Origin { role: Role::Detokenizer, life: 1, seq: 1 });
        let frame = encode(&batch, origin).unwrap();
        assert_eq!(decode::<BatchStrOutput>(&frame).unwrap(), (batch, origin));
    }
}
