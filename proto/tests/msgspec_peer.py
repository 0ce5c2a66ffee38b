"""The other side of the wire test: the reference's message classes as msgspec structs, declared in its field order.

Reads commands from standard input, one JSON object per line:
  {"decode": HEX}            -> {"class": NAME, "fields": {...}} of the decoded frame
  {"encode": NAME}           -> {"hex": HEX} of a sample message of that class
Only names, types and order are stated here (reference: managers/io_struct.py, sampling/sampling_params.py, 0.5.23).
"""

import json
import struct
import sys
from array import array
from typing import Any, Dict, List, Literal, Optional, Set, Union

import msgspec

TOP_K_ALL = 1 << 30


class Req(msgspec.Struct, tag=True, kw_only=True, array_like=True):
    rid: Optional[str] = None
    http_worker_ipc: Optional[str] = None


class BatchReq(msgspec.Struct, tag=True, kw_only=True, array_like=True):
    rids: Optional[List[str]] = None
    http_worker_ipcs: Optional[List[Optional[str]]] = None


class SamplingParams(msgspec.Struct, kw_only=True, array_like=True):
    max_new_tokens: Optional[int] = 128
    stop: Optional[Union[str, List[str]]] = None
    stop_token_ids: Optional[Set[int]] = None
    stop_regex: Optional[Union[str, List[str]]] = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = TOP_K_ALL
    min_p: float = 0.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    min_new_tokens: int = 0
    n: int = 1
    beam_width: Optional[int] = None
    json_schema: Optional[str] = None
    regex: Optional[str] = None
    ebnf: Optional[str] = None
    structural_tag: Optional[str] = None
    ignore_eos: bool = False
    skip_special_tokens: bool = True
    spaces_between_special_tokens: bool = True
    no_stop_trim: bool = False
    stream_interval: Optional[int] = None
    logit_bias: Optional[Dict[str, float]] = None
    sampling_seed: Optional[int] = None
    custom_params: Optional[Dict[str, Any]] = None
    watermark: Optional[Any] = None
    stop_strs: Optional[Union[str, List[str]]] = None
    stop_regex_strs: Optional[Union[str, List[str]]] = None
    stop_str_max_len: int = 0
    stop_regex_max_len: int = 0
    is_normalized: bool = False
    ebnf_full_assistant: bool = False


class SessionParams(msgspec.Struct, kw_only=True, array_like=True):
    id: Optional[str] = None
    rid: Optional[str] = None
    offset: Optional[int] = None
    replace: Optional[bool] = None
    drop_previous_output: Optional[bool] = None


class TokenizedGenerateReqInput(Req, kw_only=True):
    input_text: Optional[Union[str, List[Union[str, List[str]]]]]
    input_ids: Optional[array]
    input_embeds: Optional[List[List[float]]]
    mm_inputs: Any
    token_type_ids: Optional[List[int]]
    sampling_params: SamplingParams
    return_logprob: bool
    logprob_start_len: int
    top_logprobs_num: int
    token_ids_logprob: Optional[List[int]]
    stream: bool
    return_sampling_mask: bool = False
    return_flat_raw_top_logprobs: bool = False
    return_hidden_states: Union[bool, Literal["last"]] = False
    return_routed_experts: bool = False
    routed_experts_start_len: int = 0
    return_indexer_topk: bool = False
    session_id: Optional[str] = None
    session_params: Optional[SessionParams] = None
    lora_id: Optional[str] = None
    custom_logit_processor: Optional[str] = None
    positional_embed_overrides: Any = None
    bootstrap_host: Optional[str] = None
    bootstrap_port: Optional[int] = None
    bootstrap_room: Optional[int] = None
    bootstrap_pair_key: Optional[str] = None
    decode_tp_size: Optional[int] = None
    routed_dp_rank: Optional[int] = None
    disagg_prefill_dp_rank: Optional[int] = None
    routing_key: Optional[str] = None
    require_reasoning: bool = False
    priority: Optional[int] = None
    extra_key: Optional[str] = None
    no_logs: bool = False
    return_bytes: bool = False
    return_entropy: bool = False
    need_wait_for_mm_inputs: Optional[bool] = None
    num_items_assigned: Optional[Dict[str, List[int]]] = None
    encoder_urls: Optional[List[str]] = None
    multi_item_delimiter_indices: Optional[List[int]] = None
    token_indices_to_pool: Optional[List[int]] = None
    time_stats: Any = None
    cache_salt: Optional[str] = None
    kv_hints: Any = None
    pp_prefetch_ticketed: bool = False
    sampling_logprobs_mode: str = "selected"
    lora_name: Optional[str] = None


Rows = Optional[List[Optional[List[Optional[float]]]]]
IdRows = Optional[List[Optional[List[Optional[int]]]]]
TopRows = Optional[List[Optional[List[Optional[List[float]]]]]]
TopIdRows = Optional[List[Optional[List[Optional[List[int]]]]]]
OutputHiddenStates = Optional[List[Optional[List[List[Optional[Union[float, List[float]]]]]]]]
FinishReason = Dict[str, Optional[Union[str, int, List[int]]]]


class BatchTokenIDOutput(BatchReq, kw_only=True):
    finished_reasons: List[Optional[FinishReason]]
    decoded_texts: List[str]
    decode_ids: List[array]
    read_offsets: List[int]
    output_ids: Optional[List[array]]
    skip_special_tokens: List[bool]
    spaces_between_special_tokens: List[bool]
    no_stop_trim: List[bool]
    prompt_tokens: List[int]
    reasoning_tokens: List[int]
    completion_tokens: List[int]
    cached_tokens: List[int]
    input_token_logprobs_val: Rows
    input_token_logprobs_idx: IdRows
    output_token_logprobs_val: Rows
    output_token_logprobs_idx: IdRows
    input_top_logprobs_val: TopRows
    input_top_logprobs_idx: TopIdRows
    output_top_logprobs_val: TopRows
    output_top_logprobs_idx: TopIdRows
    input_token_ids_logprobs_val: TopRows
    input_token_ids_logprobs_idx: TopIdRows
    output_token_ids_logprobs_val: TopRows
    output_token_ids_logprobs_idx: TopIdRows
    output_token_entropy_val: Optional[List[Optional[float]]]
    output_token_sampling_mask: Any
    output_hidden_states: OutputHiddenStates
    routed_experts: Any
    indexer_topk: Any
    placeholder_tokens_idx: Any
    placeholder_tokens_val: Any
    retraction_counts: Optional[List[int]] = None
    beam_search_output: Any = None
    weight_versions: Any = None
    token_steps: Optional[List[List[int]]] = None
    customized_info: Any = None
    cached_tokens_details: Optional[List[Optional[Dict[str, Union[int, str]]]]] = None
    dp_ranks: Optional[List[Optional[int]]] = None
    time_stats: Any = None


class BatchStrOutput(BatchReq, kw_only=True):
    finished_reasons: List[Optional[FinishReason]]
    output_strs: List[str]
    output_ids: Optional[List[array]]
    prompt_tokens: List[int]
    completion_tokens: List[int]
    reasoning_tokens: List[int]
    cached_tokens: List[int]
    input_token_logprobs_val: Rows
    input_token_logprobs_idx: IdRows
    output_token_logprobs_val: Rows
    output_token_logprobs_idx: IdRows
    input_top_logprobs_val: TopRows
    input_top_logprobs_idx: TopIdRows
    output_top_logprobs_val: TopRows
    output_top_logprobs_idx: TopIdRows
    input_token_ids_logprobs_val: TopRows
    input_token_ids_logprobs_idx: TopIdRows
    output_token_ids_logprobs_val: TopRows
    output_token_ids_logprobs_idx: TopIdRows
    output_token_entropy_val: Optional[List[Optional[float]]]
    output_token_sampling_mask: Any
    output_hidden_states: OutputHiddenStates
    routed_experts: Any
    indexer_topk: Any
    placeholder_tokens_idx: Any
    placeholder_tokens_val: Any
    retraction_counts: Optional[List[int]] = None


class AbortReq(Req, kw_only=True):
    abort_all: bool = False
    finished_reason: Optional[FinishReason] = None
    abort_message: Optional[str] = None
    weight_versions: Any = None


class LoadLoRAAdapterReqInput(Req, kw_only=True):
    lora_name: str
    lora_path: str
    pinned: bool = False
    lora_id: Optional[str] = None


class UnloadLoRAAdapterReqInput(Req, kw_only=True):
    lora_name: str
    lora_id: Optional[str] = None


class LoRARef(msgspec.Struct, frozen=True, array_like=True):
    lora_id: str = ""
    lora_name: Optional[str] = None
    lora_path: Optional[str] = None
    pinned: Optional[bool] = None


class LoRAUpdateOutput(Req, kw_only=True):
    success: bool
    error_message: Optional[str] = None
    loaded_adapters: Optional[Dict[str, Union[str, LoRARef]]] = None


def enc_hook(obj):
    if isinstance(obj, array):
        meta = msgspec.msgpack.encode(obj.typecode)
        return msgspec.msgpack.Ext(1, struct.pack(">I", len(meta)) + meta + obj.tobytes())
    raise TypeError(type(obj))


def ext_hook(code, data):
    if code != 1:
        return msgspec.msgpack.Ext(code, bytes(data))
    (size,) = struct.unpack_from(">I", data)
    out = array(msgspec.msgpack.decode(data[4 : 4 + size]))
    out.frombytes(data[4 + size :])
    return out


CLASSES = (TokenizedGenerateReqInput, BatchTokenIDOutput, BatchStrOutput, AbortReq, LoadLoRAAdapterReqInput,
           UnloadLoRAAdapterReqInput, LoRAUpdateOutput)
decoder = msgspec.msgpack.Decoder(Union[CLASSES], dec_hook=lambda t, o: o, ext_hook=ext_hook)
encoder = msgspec.msgpack.Encoder(enc_hook=enc_hook)


def plain(value):
    if isinstance(value, msgspec.Struct):
        return {f: plain(getattr(value, f)) for f in value.__struct_fields__}
    if isinstance(value, (array, set, tuple, list)):
        return [plain(v) for v in (sorted(value) if isinstance(value, set) else value)]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


SAMPLES = {
    "TokenizedGenerateReqInput": lambda: TokenizedGenerateReqInput(
        rid="r1", input_text="héllo", input_ids=array("q", [1, 2, 49151]), input_embeds=None, mm_inputs=None,
        token_type_ids=None, return_logprob=True, logprob_start_len=-1, top_logprobs_num=2, token_ids_logprob=[7],
        stream=True, return_hidden_states="last", priority=-3, cache_salt="s",
        session_params=SessionParams(id="s1", replace=True),
        sampling_params=SamplingParams(temperature=0.5, stop_strs=["a", "b"], stop_token_ids={5}, is_normalized=True,
                                       logit_bias={"9": 1.5}, custom_params={"k": [1, "x"]}),
    ),
    "LoRAUpdateOutput": lambda: LoRAUpdateOutput(rid="r1", success=False, error_message="m", loaded_adapters={"a": "/a"}),
    "UnloadLoRAAdapterReqInput": lambda: UnloadLoRAAdapterReqInput(lora_name="a", lora_id="1"),
    "AbortReq": lambda: AbortReq(rid="r1", finished_reason={"type": "abort", "message": "m"}),
    "BatchStrOutput": lambda: BatchStrOutput(
        rids=["a", "b"], finished_reasons=[None, {"type": "stop", "matched": 2}], output_strs=["x", "é"],
        output_ids=[array("q", [1]), array("q", [])], prompt_tokens=[3, 4], completion_tokens=[1, 0],
        reasoning_tokens=[0, 0], cached_tokens=[0, 1], input_token_logprobs_val=[[None, -0.5], None],
        input_token_logprobs_idx=[[1, 2], None], output_token_logprobs_val=None, output_token_logprobs_idx=None,
        input_top_logprobs_val=None, input_top_logprobs_idx=None, output_top_logprobs_val=[[[-1.0, -2.0]], None],
        output_top_logprobs_idx=[[[5, 6]], None], input_token_ids_logprobs_val=None, input_token_ids_logprobs_idx=None,
        output_token_ids_logprobs_val=None, output_token_ids_logprobs_idx=None, output_token_entropy_val=None,
        output_token_sampling_mask=None, output_hidden_states=[[[[0.5, -1.0], [2.0, 3.0]], [0.25, 1e-3]], None],
        routed_experts=None, indexer_topk=None,
        placeholder_tokens_idx=None, placeholder_tokens_val=None, retraction_counts=[0, 2],
    ),
}

for line in sys.stdin:
    command = json.loads(line)
    if "decode" in command:
        message = decoder.decode(bytes.fromhex(command["decode"]))
        answer = {"class": type(message).__name__, "fields": plain(message)}
    else:
        answer = {"hex": encoder.encode(SAMPLES[command["encode"]]()).hex()}
    print(json.dumps(answer), flush=True)
