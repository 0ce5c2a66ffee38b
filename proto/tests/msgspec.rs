//! Our frames equal the reference's: a Python peer with `msgspec` decodes what we encode, and encodes what we decode.
//! Needs a Python with `msgspec` (`SGLANG_TEST_PYTHON`, else `python3`); `scripts/test` provides one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use sglang_proto::messages::*;
use sglang_proto::wire::{Origin, Role, StringList, TokenIds};
use sglang_proto::{CaptureHiddenMode, HiddenStateChunk, HiddenStates, SamplingParams};

struct Peer {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Peer {
    fn start() -> Self {
        let python = std::env::var("SGLANG_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/msgspec_peer.py");
        let mut child = Command::new(&python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {python}: {e}"));
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    fn ask(&mut self, command: &Value) -> Value {
        writeln!(self.stdin, "{command}").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line)
            .expect("the Python peer ended; it needs msgspec (SGLANG_TEST_PYTHON, see scripts/test)")
    }

    fn decode(&mut self, message: impl Into<AnyMessage>) -> Value {
        let origin = Origin { role: Role::Scheduler, life: 3, seq: 9 };
        let frame = message.into().encode(Some(origin)).unwrap();
        let hex: String = frame.iter().map(|b| format!("{b:02x}")).collect();
        self.ask(&json!({ "decode": hex }))
    }

    fn encoded(&mut self, class: &str) -> AnyMessage {
        let answer = self.ask(&json!({ "encode": class }));
        let hex = answer["hex"].as_str().unwrap();
        let frame: Vec<u8> =
            (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
        let (message, origin) = AnyMessage::decode(&frame).unwrap();
        assert_eq!(origin, None);
        message
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn request() -> TokenizedGenerateReqInput {
    TokenizedGenerateReqInput {
        rid: "r1".into(),
        input_text: Some("héllo".into()),
        input_ids: Some(TokenIds(vec![1, 2, 49151])),
        sampling_params: SamplingParams {
            temperature: 0.5,
            stop_strs: StringList(vec!["a".into(), "b".into()]),
            stop_token_ids: Some(vec![5]),
            is_normalized: true,
            logit_bias: Some([("9".to_string(), 1.5)].into()),
            custom_params: Some(json!({"k": [1, "x"]})),
            ..Default::default()
        },
        return_logprob: true,
        logprob_start_len: -1,
        top_logprobs_num: 2,
        token_ids_logprob: Some(vec![7]),
        stream: true,
        session_params: Some(SessionParams {
            id: Some("s1".into()),
            replace: Some(true),
            ..Default::default()
        }),
        return_hidden_states: CaptureHiddenMode::Last,
        priority: Some(-3),
        cache_salt: Some("s".into()),
        ..Default::default()
    }
}

/// Hidden states of two prompt tokens and one step.
fn hidden_states() -> HiddenStates {
    let prompt = HiddenStateChunk::List(vec![vec![0.5, -1.0], vec![2.0, 3.0]]);
    HiddenStates::List(vec![prompt, HiddenStateChunk::Vector(vec![0.25, 1e-3])])
}

#[test]
fn msgspec_reads_our_messages_field_by_field() {
    let mut peer = Peer::start();

    let seen = peer.decode(request());
    assert_eq!(seen["class"], "TokenizedGenerateReqInput");
    let fields = &seen["fields"];
    assert_eq!(fields["input_ids"], json!([1, 2, 49151]));
    assert_eq!(fields["input_text"], "héllo");
    assert_eq!(fields["cache_salt"], "s");
    assert_eq!(fields["priority"], -3);
    assert_eq!(fields["return_hidden_states"], "last");
    assert_eq!(fields["sampling_logprobs_mode"], "selected");
    assert_eq!(fields["session_params"]["id"], "s1");
    let sampling = &fields["sampling_params"];
    assert_eq!(sampling["temperature"], 0.5);
    assert_eq!(sampling["stop_strs"], json!(["a", "b"]));
    assert_eq!(sampling["stop_token_ids"], json!([5]));
    assert_eq!(sampling["logit_bias"], json!({"9": 1.5}));
    assert_eq!(sampling["custom_params"], json!({"k": [1, "x"]}));
    assert_eq!(sampling["is_normalized"], true);

    let seen = peer.decode(AbortReq {
        rid: Some("a_1".into()),
        finished_reason: Some(FinishReason::refused(
            "The request queue is full.",
            503,
            "SERVICE_UNAVAILABLE",
        )),
        ..Default::default()
    });
    assert_eq!(seen["class"], "AbortReq");
    assert_eq!(
        seen["fields"]["finished_reason"],
        json!({"type": "abort", "message": "The request queue is full.", "status_code": 503, "err_type": "SERVICE_UNAVAILABLE"})
    );

    let span = WeightVersionSpan { version: "default".into(), start: 0, end: 1 };
    let lists = Logprobs { input_token: Some(vec![(None, 4), (Some(-0.5), 5)]), ..Logprobs::default() };
    let first = TokenIdOutput {
        output: GenerationOutput {
            rid: "a".into(),
            finished_reason: Some(FinishReason::matched_token(2)),
            counts: Counts { completion_tokens: 1, ..Counts::default() },
            hidden_states: Some(hidden_states()),
            logprobs: Some(Box::new(lists)),
            weight_versions: Some(vec![span]),
            output_offset: Some(0),
            ..Default::default()
        },
        decode_ids: TokenIds(vec![4, 5]),
        read_offset: 1,
        ..Default::default()
    };
    let seen = peer.decode(BatchTokenIDOutput { rows: vec![first, TokenIdOutput::default()] });
    assert_eq!(seen["class"], "BatchTokenIDOutput");
    assert_eq!(seen["fields"]["decode_ids"], json!([[4, 5], []]));
    assert_eq!(seen["fields"]["finished_reasons"], json!([{"type": "stop", "matched": 2}, null]));
    assert_eq!(seen["fields"]["input_token_logprobs_val"], json!([[null, -0.5], null]));
    assert_eq!(seen["fields"]["input_token_logprobs_idx"], json!([[4, 5], null]));
    assert_eq!(seen["fields"]["decoded_texts"], json!(["", ""]));
    assert_eq!(seen["fields"]["read_offsets"], json!([1, 0]));
    let numbers = json!([[[[0.5, -1.0], [2.0, 3.0]], [0.25, f64::from(1e-3_f32)]], null]);
    assert_eq!(seen["fields"]["output_hidden_states"], numbers);

    let counts = Counts { num_retractions: 4, ..Counts::default() };
    let output = GenerationOutput { rid: "a".into(), counts, ..Default::default() };
    let seen = peer.decode(BatchStrOutput { rows: vec![StrOutput { output, text: "é".into() }] });
    assert_eq!(seen["class"], "BatchStrOutput");
    assert_eq!(seen["fields"]["output_strs"], json!(["é"]));
    assert_eq!(seen["fields"]["retraction_counts"], json!([4]));
}

#[test]
fn messages_about_adapters_are_the_same_on_both_sides() {
    let mut peer = Peer::start();
    let seen = peer.decode(LoadLoRAAdapterReqInput {
        rid: "r".into(),
        lora_name: "a".into(),
        lora_path: "/a".into(),
        pinned: true,
        lora_id: Some("1".into()),
    });
    assert_eq!(seen["class"], "LoadLoRAAdapterReqInput");
    let expected = json!({"rid": "r", "http_worker_ipc": null, "lora_name": "a", "lora_path": "/a", "pinned": true,
        "lora_id": "1"});
    assert_eq!(seen["fields"], expected);
    let loaded = json!({"a": "/a"}).as_object().cloned();
    let answer = LoRAUpdateOutput { success: true, loaded_adapters: loaded.clone(), ..Default::default() };
    let seen = peer.decode(answer);
    assert_eq!((&seen["class"], &seen["fields"]["success"]), (&json!("LoRAUpdateOutput"), &json!(true)));
    assert_eq!(seen["fields"]["loaded_adapters"], json!({"a": "/a"}));
    let expected = LoRAUpdateOutput {
        rid: "r1".into(),
        error_message: Some("m".into()),
        loaded_adapters: loaded,
        ..Default::default()
    };
    assert_eq!(peer.encoded("LoRAUpdateOutput"), expected.into());
    let expected =
        UnloadLoRAAdapterReqInput { lora_name: "a".into(), lora_id: Some("1".into()), ..Default::default() };
    assert_eq!(peer.encoded("UnloadLoRAAdapterReqInput"), expected.into());
}

#[test]
fn we_read_what_msgspec_writes() {
    let mut peer = Peer::start();
    assert_eq!(peer.encoded("TokenizedGenerateReqInput"), request().into());
    let AnyMessage::AbortReq(abort) = peer.encoded("AbortReq") else { panic!("wrong class") };
    assert_eq!(abort.finished_reason, Some(FinishReason::aborted("m")));
    let AnyMessage::BatchStrOutput(output) = peer.encoded("BatchStrOutput") else { panic!("wrong class") };
    let [first, second] = &output.rows[..] else { panic!("two rows") };
    assert_eq!((first.text.as_str(), second.text.as_str()), ("x", "é"));
    let (first, second) = (&first.output, &second.output);
    assert_eq!((&first.output_ids, &second.output_ids), (&TokenIds(vec![1]), &TokenIds(vec![])));
    assert_eq!(first.finished_reason, None);
    assert_eq!(second.finished_reason, Some(FinishReason::matched_token(2)));
    let lists = first.logprobs.as_deref().unwrap();
    assert_eq!(lists.input_token, Some(vec![(None, 1), (Some(-0.5), 2)]));
    assert_eq!(lists.output_top, Some(vec![Some(vec![(-1.0, 5), (-2.0, 6)])]));
    assert_eq!(second.logprobs, None);
    assert_eq!((&first.hidden_states, &second.hidden_states), (&Some(hidden_states()), &None));
    assert_eq!((first.counts.num_retractions, second.counts.num_retractions), (0, 2));
}
