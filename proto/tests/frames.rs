//! Compares the bytes of every message with a recording, to detect changes of the wire form.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sglang_proto::messages::*;
use sglang_proto::wire::{Origin, Role, StringList, TokenIds};
use sglang_proto::{CaptureHiddenMode, HiddenStateChunk, HiddenStates, SamplingParams};

fn map(value: Value) -> serde_json::Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn sampling_params() -> SamplingParams {
    SamplingParams {
        max_new_tokens: Some(16),
        stop: StringList(vec!["x".into()]),
        stop_token_ids: Some(vec![5, 6]),
        stop_regex: StringList(vec!["a+".into()]),
        temperature: 0.5,
        top_p: 0.25,
        top_k: 40,
        min_p: 0.125,
        frequency_penalty: -0.5,
        presence_penalty: 0.75,
        repetition_penalty: 1.5,
        min_new_tokens: 2,
        n: 3,
        beam_width: Some(1),
        json_schema: Some("{}".into()),
        regex: Some("b".into()),
        ebnf: Some("root ::= \"c\"".into()),
        structural_tag: Some("d".into()),
        ignore_eos: true,
        skip_special_tokens: false,
        spaces_between_special_tokens: false,
        no_stop_trim: true,
        stream_interval: Some(4),
        logit_bias: Some(BTreeMap::from([("9".into(), 1.5)])),
        sampling_seed: Some(-7),
        custom_params: Some(json!({"k": [1, "x"]})),
        watermark: Some(json!({"w": 1})),
        stop_strs: StringList(vec!["x".into(), "é".into()]),
        stop_regex_strs: StringList(vec!["a+".into()]),
        stop_str_max_len: 2,
        stop_regex_max_len: 9,
        is_normalized: true,
        ebnf_full_assistant: true,
    }
}

fn generate(rid: &str) -> TokenizedGenerateReqInput {
    TokenizedGenerateReqInput {
        rid: rid.into(),
        input_text: Some("héllo".into()),
        input_ids: Some(TokenIds(vec![1, 2, 49151])),
        sampling_params: sampling_params(),
        return_logprob: true,
        logprob_start_len: 2,
        top_logprobs_num: 5,
        token_ids_logprob: Some(vec![7, 8]),
        stream: true,
        return_hidden_states: CaptureHiddenMode::Full,
        session_id: Some("s0".into()),
        session_params: Some(SessionParams {
            id: Some("s1".into()),
            rid: Some("r0".into()),
            offset: Some(-1),
            replace: Some(true),
            drop_previous_output: Some(false),
        }),
        lora_id: Some("l1".into()),
        routed_dp_rank: Some(0),
        routing_key: Some("k".into()),
        require_reasoning: true,
        priority: Some(-3),
        extra_key: Some("e".into()),
        no_logs: true,
        cache_salt: Some("s".into()),
        lora_name: Some("l".into()),
        resumed_output_ids: Some(TokenIds(vec![3, 4])),
        ..Default::default()
    }
}

/// A request that is sent for the first time, because batches do not contain the fields that the reference does not
/// have.
fn first(rid: &str) -> TokenizedGenerateReqInput {
    TokenizedGenerateReqInput { resumed_output_ids: None, ..generate(rid) }
}

fn embed(rid: &str) -> TokenizedEmbeddingReqInput {
    TokenizedEmbeddingReqInput {
        rid: rid.into(),
        input_text: Some("t".into()),
        input_ids: Some(TokenIds(vec![9])),
        token_type_ids: Some(vec![1]),
        sampling_params: SamplingParams::default(),
        lora_id: Some("l1".into()),
        routed_dp_rank: Some(0),
        priority: Some(4),
        dimensions: Some(64),
        return_pooled_hidden_states: true,
        lora_name: Some("l".into()),
        ..Default::default()
    }
}

fn times() -> ReqTimeStats {
    ReqTimeStats {
        scheduler_recv_time: 1.5,
        wait_queue_entry_time: 2.5,
        forward_entry_time: 3.5,
        prefill_finished_time: 4.5,
        queue_duration_s: 0.25,
        chunked_prefill_s: vec![0.5],
    }
}

fn spans() -> Vec<WeightVersionSpan> {
    vec![WeightVersionSpan { version: "default".into(), start: 0, end: 2 }]
}

fn details() -> BTreeMap<String, Value> {
    BTreeMap::from([("device".into(), json!(2)), ("host".into(), json!(0))])
}

fn reasons() -> Vec<Option<FinishReason>> {
    vec![None, Some(FinishReason::matched_token(2)), Some(FinishReason::Length { length: 3 })]
}

fn hidden() -> [Option<HiddenStates>; 3] {
    let prompt = HiddenStateChunk::List(vec![vec![0.5, -1.0], vec![2.0, 3.0]]);
    let all = HiddenStates::List(vec![prompt, HiddenStateChunk::Vector(vec![0.25, 1e-3])]);
    [None, Some(all), Some(HiddenStates::Vector(vec![1.0]))]
}

/// Log-probabilities of three requests: one wants none, one wants all, and one only those of its own tokens.
fn logprobs() -> [Option<Box<Logprobs>>; 3] {
    let token = vec![(None, 4), (Some(-0.5), 5)];
    let top = vec![None, Some(vec![]), Some(vec![(-0.5, 5), (-1.5, 6)])];
    let all = Logprobs {
        input_token: Some(token.clone()),
        output_token: Some(token),
        input_top: Some(top.clone()),
        output_top: Some(top.clone()),
        input_token_ids: Some(top.clone()),
        output_token_ids: Some(top),
    };
    let token = Some(vec![(Some(-1.25), 6)]);
    let own = Logprobs { input_token: token.clone(), output_token: token, ..Logprobs::default() };
    [None, Some(Box::new(all)), Some(Box::new(own))]
}

const RIDS: [&str; 3] = ["a", "b", "c"];
const PROMPT_TOKENS: [u64; 3] = [2, 300, 70_000];
const CACHED_TOKENS: [u64; 3] = [0, 1, 128];

fn counts(i: usize) -> Counts {
    Counts {
        prompt_tokens: PROMPT_TOKENS[i],
        completion_tokens: i as u64 + 1,
        reasoning_tokens: 0,
        cached_tokens: CACHED_TOKENS[i],
        num_retractions: i as u64,
    }
}

/// Outputs of three requests, with the required fields only or with all fields.
fn generations(all: bool) -> Vec<GenerationOutput> {
    let ids = [vec![7], vec![8, 9], vec![]];
    let versions = [None, Some(spans()), Some(vec![])];
    let plain = |(i, (ids, weight_versions)): (usize, (Vec<u32>, _))| GenerationOutput {
        rid: RIDS[i].into(),
        finished_reason: reasons()[i].clone(),
        output_ids: TokenIds(ids),
        output_offset: Some([0, 4, 3][i]),
        attempt: Some(Attempt { life: 1, number: i as u64 }),
        counts: counts(i),
        weight_versions,
        ..GenerationOutput::default()
    };
    let rows = ids.into_iter().zip(versions).enumerate().map(plain);
    if !all {
        return rows.collect();
    }
    let full = |((row, logprobs), hidden_states): ((GenerationOutput, _), _)| {
        let second = row.rid == "b";
        GenerationOutput {
            logprobs,
            hidden_states,
            cached_tokens_details: second.then(details),
            dp_rank: second.then_some(0),
            time_stats: second.then(times),
            ..row
        }
    };
    rows.zip(logprobs()).zip(hidden()).map(full).collect()
}

fn tokens(all: bool) -> BatchTokenIDOutput {
    let decode_ids = [vec![1, 2, 7], vec![8, 9], vec![]];
    let row = |(i, (output, ids)): (usize, (_, Vec<u32>))| TokenIdOutput {
        output,
        decode_ids: TokenIds(ids),
        read_offset: [2, 2, 300][i],
        skip_special_tokens: [true, false, true][i],
        spaces_between_special_tokens: [false, true, true][i],
        no_stop_trim: [true, true, false][i],
    };
    BatchTokenIDOutput { rows: generations(all).into_iter().zip(decode_ids).enumerate().map(row).collect() }
}

/// The same batch with text.
fn texts(all: bool) -> BatchStrOutput {
    let row = |(output, text): (_, &str)| StrOutput { output, text: text.into() };
    BatchStrOutput { rows: generations(all).into_iter().zip(["x", "é\n", ""]).map(row).collect() }
}

fn embeddings(all: bool) -> BatchEmbeddingOutput {
    let row = |(i, embedding): (usize, Vec<f32>)| EmbeddingOutput {
        rid: RIDS[i].into(),
        finished_reason: reasons()[i].clone(),
        embedding,
        counts: counts(i),
        cached_tokens_details: (all && i == 1).then(details),
        pooled_hidden_state: (all && i == 1).then(|| vec![0.5]),
        time_stats: (all && i == 2).then(times),
        attempt: all.then_some(Attempt { life: 1, number: 2 }),
    };
    let vectors = [vec![], vec![0.5, -0.25], vec![1e-3]];
    BatchEmbeddingOutput { rows: vectors.into_iter().enumerate().map(row).collect() }
}

/// The output messages.
fn outputs() -> Vec<(&'static str, AnyMessage)> {
    vec![
        ("BatchTokenIDOutput", tokens(false).into()),
        ("BatchTokenIDOutput with every column", tokens(true).into()),
        ("BatchStrOutput", texts(false).into()),
        ("BatchStrOutput with every column", texts(true).into()),
        ("BatchEmbeddingOutput", embeddings(false).into()),
        ("BatchEmbeddingOutput with every column", embeddings(true).into()),
    ]
}

/// Requests and aborts.
fn requests() -> Vec<(&'static str, AnyMessage)> {
    let refused = FinishReason::refused("The request queue is full.", 503, "ServiceUnavailable");
    vec![
        ("TokenizedGenerateReqInput", generate("r1").into()),
        (
            "TokenizedGenerateReqInput with defaults",
            TokenizedGenerateReqInput { rid: "r2".into(), ..Default::default() }.into(),
        ),
        (
            "BatchTokenizedGenerateReqInput",
            BatchTokenizedGenerateReqInput { batch: vec![first("r1"), first("r2")] }.into(),
        ),
        ("TokenizedEmbeddingReqInput", embed("e1").into()),
        (
            "BatchTokenizedEmbeddingReqInput",
            BatchTokenizedEmbeddingReqInput { batch: vec![embed("e1"), embed("e2")] }.into(),
        ),
        ("AbortReq of one", AbortReq { rid: Some("r1".into()), ..Default::default() }.into()),
        ("AbortReq of all", AbortReq { abort_all: true, ..Default::default() }.into()),
        (
            "AbortReq as an end",
            AbortReq {
                rid: Some("r1".into()),
                finished_reason: Some(refused),
                abort_message: Some("m".into()),
                weight_versions: Some(spans()),
                ..Default::default()
            }
            .into(),
        ),
    ]
}

/// Calls about the state of the scheduler, and their answers.
fn calls() -> Vec<(&'static str, AnyMessage)> {
    let rid = || CallId::from("c1");
    vec![
        ("FlushCacheReqInput", FlushCacheReqInput { rid: rid(), timeout_s: Some(1.5) }.into()),
        ("FlushCacheReqInput without id", FlushCacheReqInput::default().into()),
        (
            "FlushCacheReqOutput",
            FlushCacheReqOutput { rid: rid(), success: true, message: "m".into() }.into(),
        ),
        ("FlushCacheReqOutput without id", FlushCacheReqOutput::default().into()),
        ("PauseGenerationReqInput", PauseGenerationReqInput { mode: "retract".into() }.into()),
        ("ContinueGenerationReqInput", ContinueGenerationReqInput { torch_empty_cache: false }.into()),
        ("GetInternalStateReq", GetInternalStateReq { rid: rid() }.into()),
        (
            "GetInternalStateReqOutput",
            GetInternalStateReqOutput { rid: rid(), internal_state: json!({"a": [1, null]}) }.into(),
        ),
        (
            "SetInternalStateReq",
            SetInternalStateReq {
                rid: rid(),
                server_args: BTreeMap::from([("pp_max_micro_batch_size".into(), 2.0)]),
            }
            .into(),
        ),
        ("SetInternalStateReqOutput", SetInternalStateReqOutput { rid: rid(), updated: true }.into()),
        (
            "ExpertDistributionReq",
            ExpertDistributionReq { rid: rid(), action: ExpertDistributionReqType::DumpRecord }.into(),
        ),
        (
            "ExpertDistributionReqOutput",
            ExpertDistributionReqOutput { rid: rid(), success: false, message: "m".into() }.into(),
        ),
        ("ShutdownReq", ShutdownReq::default().into()),
        (
            "ConfigureLoggingReq",
            ConfigureLoggingReq {
                log_requests: Some(true),
                log_requests_level: Some(2),
                log_requests_format: Some("json".into()),
                log_level: Some("debug".into()),
                dump_requests_folder: Some("/d".into()),
                dump_requests_threshold: Some(10),
                crash_dump_folder: Some("/c".into()),
                dump_requests_exclude_meta_keys: Some(vec!["k".into()]),
                ..Default::default()
            }
            .into(),
        ),
        (
            "OpenSessionReqInput",
            OpenSessionReqInput {
                rid: rid(),
                capacity_of_str_len: 1000,
                session_id: Some("s1".into()),
                streaming: Some(true),
                timeout: Some(2.5),
            }
            .into(),
        ),
        (
            "OpenSessionReqOutput",
            OpenSessionReqOutput { rid: rid(), session_id: Some("s1".into()), success: true }.into(),
        ),
        ("CloseSessionReqInput", CloseSessionReqInput { session_id: "s1".into() }.into()),
        ("HealthCheckOutput", HealthCheckOutput::default().into()),
        (
            "ProfileReq",
            ProfileReq {
                rid: rid(),
                req_type: STOP_PROFILE,
                output_dir: Some("/t".into()),
                start_step: Some(3),
                num_steps: Some(4),
                activities: Some(vec!["CPU".into()]),
                profile_by_stage: true,
                with_stack: Some(true),
                record_shapes: Some(false),
                profile_id: Some("p".into()),
                merge_profiles: true,
                profile_prefix: Some("q".into()),
                profile_stages: Some(vec!["decode".into()]),
                detailed_annotations: true,
            }
            .into(),
        ),
        ("ProfileReqOutput", ProfileReqOutput { rid: rid(), success: true, message: "/t/x".into() }.into()),
    ]
}

/// Calls about weights, adapters and memory, and their answers.
fn model_calls() -> Vec<(&'static str, AnyMessage)> {
    let rid = || CallId::from("c1");
    vec![
        (
            "UpdateWeightFromDiskReqInput",
            UpdateWeightFromDiskReqInput {
                rid: rid(),
                model_path: "/m".into(),
                load_format: Some("auto".into()),
                abort_all_requests: true,
                weight_version: Some("v2".into()),
                is_async: true,
                torch_empty_cache: true,
                keep_pause: true,
                recapture_cuda_graph: true,
                token_step: 5,
                flush_cache: false,
                manifest: Some(json!({"a": 1})),
            }
            .into(),
        ),
        (
            "UpdateWeightFromDiskReqOutput",
            UpdateWeightFromDiskReqOutput {
                rid: rid(),
                success: true,
                message: "m".into(),
                num_paused_requests: 3,
                weights_served: true,
            }
            .into(),
        ),
        (
            "UpdateWeightVersionReqInput",
            UpdateWeightVersionReqInput { rid: rid(), new_version: "v2".into(), abort_all_requests: false }
                .into(),
        ),
        ("UpdateWeightVersionReqOutput", UpdateWeightVersionReqOutput { rid: rid() }.into()),
        (
            "GetWeightsByNameReqInput",
            GetWeightsByNameReqInput { rid: rid(), name: "w".into(), truncate_size: 7 }.into(),
        ),
        (
            "GetWeightsByNameReqOutput",
            GetWeightsByNameReqOutput { rid: rid(), parameter: json!([0.5]) }.into(),
        ),
        (
            "LoadLoRAAdapterReqInput",
            LoadLoRAAdapterReqInput {
                rid: rid(),
                lora_name: "a".into(),
                lora_path: "/a".into(),
                pinned: true,
                lora_id: Some("l1".into()),
            }
            .into(),
        ),
        (
            "UnloadLoRAAdapterReqInput",
            UnloadLoRAAdapterReqInput { rid: rid(), lora_name: "a".into(), lora_id: Some("l1".into()) }
                .into(),
        ),
        (
            "LoRAUpdateOutput",
            LoRAUpdateOutput {
                rid: rid(),
                success: true,
                error_message: Some("m".into()),
                loaded_adapters: Some(map(json!({"a": "/a"}))),
            }
            .into(),
        ),
        (
            "ReleaseMemoryOccupationReqInput",
            ReleaseMemoryOccupationReqInput { rid: rid(), tags: Some(vec!["kv_cache".into()]) }.into(),
        ),
        (
            "ReleaseMemoryOccupationReqOutput",
            ReleaseMemoryOccupationReqOutput {
                rid: rid(),
                success: false,
                message: "m".into(),
                released: false,
            }
            .into(),
        ),
        (
            "ResumeMemoryOccupationReqInput",
            ResumeMemoryOccupationReqInput { rid: rid(), tags: Some(vec!["weights".into()]) }.into(),
        ),
        (
            "ResumeMemoryOccupationReqOutput",
            ResumeMemoryOccupationReqOutput {
                rid: rid(),
                success: false,
                message: "m".into(),
                released: true,
            }
            .into(),
        ),
        ("SlowDownReqInput", SlowDownReqInput { rid: rid(), forward_sleep_time: Some(0.5) }.into()),
        ("SlowDownReqOutput", SlowDownReqOutput { rid: rid() }.into()),
        (
            "CheckWeightsReqInput",
            CheckWeightsReqInput {
                rid: rid(),
                action: "compare".into(),
                allow_quant_error: true,
                skip_tensor_list: Some(vec!["norm".into()]),
                selector: "target".into(),
            }
            .into(),
        ),
        (
            "CheckWeightsReqOutput",
            CheckWeightsReqOutput {
                rid: rid(),
                success: true,
                message: "m".into(),
                payload: Some(json!([{"checksums": {}}])),
            }
            .into(),
        ),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_bytes_of_every_message_are_those_that_were_recorded() {
    let messages = [outputs(), requests(), calls(), model_calls()].into_iter().flatten();
    let made: Vec<(String, String)> =
        messages.map(|(name, message)| (name.to_owned(), hex(&message.encode(None).unwrap()))).collect();
    let recorded = include_str!("fixtures/frames.txt").lines().map(|line| {
        let (name, bytes) = line.split_once(": ").unwrap();
        (name.to_owned(), bytes.to_owned())
    });
    let recorded: Vec<(String, String)> = recorded.collect();
    if made != recorded {
        let path = std::env::temp_dir().join("frames.txt");
        let lines: String = made.iter().map(|(name, bytes)| format!("{name}: {bytes}\n")).collect();
        std::fs::write(&path, lines).unwrap();
        for (made, recorded) in made.iter().zip(&recorded) {
            assert_eq!(made, recorded, "all frames as they are now: {}", path.display());
        }
        panic!("{} frames, {} recorded; those of now: {}", made.len(), recorded.len(), path.display());
    }
}

#[test]
fn every_recorded_frame_is_read_again_and_written_as_it_was() {
    for line in include_str!("fixtures/frames.txt").lines() {
        let (name, bytes) = line.split_once(": ").unwrap();
        let frame: Vec<u8> =
            (0..bytes.len()).step_by(2).map(|i| u8::from_str_radix(&bytes[i..i + 2], 16).unwrap()).collect();
        let (message, none) = AnyMessage::decode(&frame).unwrap();
        assert_eq!((hex(&message.encode(None).unwrap()).as_str(), none), (bytes, None), "{name}");
    }
}

/// The fields of the reference are the same with and without the extension.
#[test]
fn our_own_fields_travel_in_the_extension_and_change_no_other_byte() {
    let origin = Some(Origin { role: Role::Scheduler, life: 3, seq: 9 });
    let messages = [outputs(), requests(), calls(), model_calls()].into_iter().flatten();
    for (name, message) in messages {
        let (bare, whole) = (message.encode(None).unwrap(), message.encode(origin).unwrap());
        let (again, from) = AnyMessage::decode(&whole).unwrap();
        assert_eq!((hex(&again.encode(origin).unwrap()), from), (hex(&whole), origin), "{name}");
        // Skip the array's length, which takes one or three bytes.
        let fields = |frame: &[u8]| if frame[0] == 0xdc { 3 } else { 1 };
        let (bare, whole) = (&bare[fields(&bare)..], &whole[fields(&whole)..]);
        assert_eq!(hex(&whole[..bare.len()]), hex(bare), "{name}");
        assert_eq!(whole[bare.len()], 0xc9, "{name}");
    }
}

/// Hello and ping are sent in a message of the reference that changes nothing.
#[test]
fn hello_and_ping_are_a_message_of_the_reference_that_says_nothing() {
    let hello = Hello { epoch: 2, applied: 5, info: json!({"page_size": 1}) };
    let origin = Origin { role: Role::Scheduler, life: 3, seq: 9 };
    let nothing = format!("b3{}{}", hex(b"ConfigureLoggingReq"), "c0".repeat(10));
    let head = "0102000000000000000300000000000000 09".replace(' ', "");
    let of = |own: &str| {
        let payload = format!("{head}{own}");
        let len = format!("{:08x}", payload.len() / 2 + 4);
        format!("9c{nothing}c9{len}64{payload}{len}")
    };
    let said = AnyMessage::from(ConfigureLoggingReq::hello(hello.clone()));
    let own = format!("92930205 81a9{}01c2", hex(b"page_size")).replace(' ', "");
    assert_eq!(hex(&said.encode(Some(origin)).unwrap()), of(&own));
    let ping = AnyMessage::from(ConfigureLoggingReq::ping());
    assert_eq!(hex(&ping.encode(Some(origin)).unwrap()), of("92c0c3"));
    for message in [said, ping] {
        let frame = message.encode(Some(origin)).unwrap();
        assert_eq!(AnyMessage::decode(&frame).unwrap(), (message, Some(origin)));
    }
}
