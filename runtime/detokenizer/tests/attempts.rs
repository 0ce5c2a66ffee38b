//! Attempts of a request are decoded separately, and output that no decoder expects is not decoded.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;
use std::sync::LazyLock;

use sglang_checkpoint::Checkpoint;
use sglang_detokenizer::Detokenizer;
use sglang_proto::messages::{
    AbortReq, Attempt, BatchTokenIDOutput, FinishReason, GenerationOutput, StrOutput, TokenIdOutput,
};
use sglang_proto::wire::TokenIds;
use sglang_tokenizer::Tokenizer;

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(load);

fn load() -> Tokenizer {
    let path = std::env::var_os("SGLANG_TEST_MODEL").map_or_else(
        || {
            let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
            home.join(".cache/sglang-rs/models/SmolLM2-135M-Instruct.Q4_1.gguf")
        },
        PathBuf::from,
    );
    assert!(path.is_file(), "{} is missing: run scripts/setup or set SGLANG_TEST_MODEL", path.display());
    Tokenizer::from_checkpoint(&Checkpoint::open(path).unwrap()).unwrap()
}

const TEXT: &str = " the café at 東京 is naïve 🙂, and so is the stop";

/// A request with the output [`TEXT`], as a scheduler sends it.
struct Request {
    prompt: Vec<u32>,
    output: Vec<u32>,
}

impl Request {
    fn new() -> Self {
        let encode = |text: &str| TOKENIZER.encode(text, false).unwrap();
        Self { prompt: encode("Tell me where"), output: encode(TEXT) }
    }

    /// Output ids `from..to` of attempt `number`, which began after `accepted` ids.
    fn row(&self, number: u64, accepted: usize, from: usize, to: usize) -> TokenIdOutput {
        let mut decode_ids = Vec::new();
        if from == accepted {
            decode_ids.extend_from_slice(&self.prompt);
            decode_ids.extend_from_slice(&self.output[..accepted]);
        }
        decode_ids.extend_from_slice(&self.output[from..to]);
        TokenIdOutput {
            decode_ids: TokenIds(decode_ids),
            read_offset: (self.prompt.len() + accepted) as u64,
            skip_special_tokens: true,
            spaces_between_special_tokens: true,
            no_stop_trim: false,
            output: GenerationOutput {
                rid: "r".into(),
                attempt: Some(Attempt { life: 1, number }),
                output_ids: TokenIds(self.output[from..to].to_vec()),
                output_offset: Some(from as u64),
                ..Default::default()
            },
        }
    }
}

fn decode(detokenizer: &mut Detokenizer, row: TokenIdOutput) -> Vec<StrOutput> {
    detokenizer.decode(BatchTokenIDOutput { rows: vec![row] }).rows
}

fn finished(mut row: TokenIdOutput, reason: FinishReason) -> TokenIdOutput {
    row.output.finished_reason = Some(reason);
    row
}

#[test]
fn text_is_whole_wherever_a_try_is_replaced() {
    let request = Request::new();
    let len = request.output.len();
    let expected = TOKENIZER.decode(&request.output, true);
    let mut detokenizer = Detokenizer::new(load());
    for cut in 0..=len {
        for forgets in [false, true] {
            detokenizer.reset();
            let mut text = String::new();
            let mut add = |rows: Vec<StrOutput>| rows.into_iter().for_each(|row| text.push_str(&row.text));
            for at in 0..cut {
                add(decode(&mut detokenizer, request.row(1, 0, at, at + 1)));
            }
            if forgets {
                detokenizer.reset();
            }
            for at in cut..len {
                let mut row = request.row(2, cut, at, at + 1);
                if at + 1 == len {
                    row = finished(row, FinishReason::Length { length: len as u64 });
                }
                add(decode(&mut detokenizer, row));
                // Late output of the first attempt is dropped.
                let late = decode(&mut detokenizer, request.row(1, 0, at, at + 1));
                assert!(late.iter().all(|row| row.text.is_empty()) || at == 0);
            }
            if cut < len {
                assert_eq!(text, expected, "replaced after {cut} of {len}");
            }
        }
    }
}

#[test]
fn what_no_decoder_expects_is_asked_for_again_and_an_abort_is_passed_on_bare() {
    let request = Request::new();
    let mut detokenizer = Detokenizer::new(load());
    let asks_again = |rows: Vec<StrOutput>, number| {
        let output = &rows[0].output;
        assert_eq!((rows.len(), rows[0].text.as_str(), output.output_offset), (1, "", Some(u64::MAX)));
        assert!(output.output_ids.is_empty() && output.finished_reason.is_none());
        assert_eq!(output.attempt, Some(Attempt { life: 1, number }));
    };
    // The beginning of its output was lost, whether or not the row is the last.
    asks_again(decode(&mut detokenizer, request.row(1, 0, 2, 3)), 1);
    let last = finished(request.row(1, 0, 2, 3), FinishReason::Length { length: 3 });
    asks_again(decode(&mut detokenizer, last), 1);
    assert_eq!(decode(&mut detokenizer, request.row(2, 0, 0, 1)).len(), 1);
    assert!(decode(&mut detokenizer, request.row(1, 0, 1, 2)).is_empty(), "of an earlier try");
    asks_again(decode(&mut detokenizer, request.row(2, 0, 2, 3)), 2);
    asks_again(decode(&mut detokenizer, request.row(3, 2, 4, 5)), 3);
    assert_eq!(decode(&mut detokenizer, request.row(4, 1, 1, 2)).len(), 1);
    assert_eq!(decode(&mut detokenizer, request.row(4, 1, 2, 3)).len(), 1, "the known try goes on");
    let aborted = finished(request.row(5, 2, 4, 6), FinishReason::aborted("Aborted"));
    let passed = decode(&mut detokenizer, aborted);
    assert_eq!((passed.len(), passed[0].text.as_str()), (1, ""));
    assert!(passed[0].output.output_ids.is_empty() && passed[0].output.finished_reason.is_some());
    assert_eq!(passed[0].output.attempt, Some(Attempt { life: 1, number: 5 }));
    asks_again(decode(&mut detokenizer, request.row(4, 1, 3, 4)), 4);
}

#[test]
fn an_end_frees_the_id_for_a_request_that_has_nothing_of_it() {
    let request = Request::new();
    let mut detokenizer = Detokenizer::new(load());
    decode(&mut detokenizer, request.row(1, 0, 0, 5));
    let end = |number| AbortReq {
        rid: Some("r".into()),
        attempt: Some(Attempt { life: 1, number }),
        ..Default::default()
    };
    detokenizer.end(&end(0));
    assert_eq!(decode(&mut detokenizer, request.row(1, 0, 5, 6)).len(), 1, "of an earlier try");
    detokenizer.end(&end(1));
    assert_eq!(decode(&mut detokenizer, request.row(1, 0, 6, 7))[0].output.output_offset, Some(u64::MAX));
    // Another request with the same id.
    let rows = decode(&mut detokenizer, request.row(2, 0, 0, 5));
    // An incomplete character is held back.
    let expected = TOKENIZER.decode(&request.output[..5], true);
    assert_eq!(rows[0].text, expected.trim_end_matches(char::REPLACEMENT_CHARACTER));
}
