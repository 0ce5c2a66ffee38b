//! `--log-requests`: one line when a request arrives and one when it ends, as text or JSON (reference:
//! `utils/request_logger.py`).

use serde_json::{Value, json};

use sglang_process::logging::{BARE_TARGET, now};
use sglang_proto::messages::{FinishReason, TokenizedGenerateReqInput};

use crate::state::ReqState;
use crate::text::TextCodec;

/// Longest text shown at level 2, in characters.
const LEVEL_2_CHARS: usize = 2048;

/// What to log about requests.
#[derive(Clone, Debug, Default)]
pub struct RequestLog {
    /// `--log-requests`.
    pub enabled: bool,
    /// `--log-requests-level`: 0 metadata; 1 also sampling parameters; 2 also part of input and output; 3 also all of
    /// input and output.
    pub level: u8,
    /// `--log-requests-format json`.
    pub json: bool,
}

impl RequestLog {
    /// Logs that a request has arrived. `codec` decodes prompts that are given as ids.
    pub fn received(&self, request: &TokenizedGenerateReqInput, codec: Option<&dyn TextCodec>) {
        if self.enabled && !request.no_logs {
            self.write("request.received", "Receive", self.request(request, codec), None);
        }
    }

    /// Logs that a request has ended.
    pub fn finished(&self, state: &ReqState, codec: Option<&dyn TextCodec>) {
        if !self.enabled || state.request.no_logs {
            return;
        }
        let output = state.output();
        let Some(finish) = &output.finish else { return };
        let mut out = json!({
            "finish_reason": reason(&finish.reason),
            "prompt_tokens": output.counts.prompt_tokens,
            "completion_tokens": output.counts.completion_tokens,
            "cached_tokens": output.counts.cached_tokens,
            "e2e_latency": finish.e2e_latency,
        });
        if let Some(text) = self.shorten(&output.text) {
            out["text"] = text;
        }
        if self.level >= 3 {
            match state.embedding {
                None => out["output_ids"] = json!(output.output_ids),
                Some(_) => out["embedding"] = json!(output.embedding),
            }
        }
        drop(output);
        self.write("request.finished", "Finish", self.request(&state.request, codec), Some(out));
    }

    fn write(&self, event: &str, word: &str, obj: Value, out: Option<Value>) {
        let line = self.line(event, word, obj, out);
        match self.json {
            true => tracing::info!(target: BARE_TARGET, "{line}"),
            false => tracing::info!("{line}"),
        }
    }

    fn line(&self, event: &str, word: &str, obj: Value, out: Option<Value>) -> String {
        if self.json {
            let mut line = json!({"timestamp": now(), "event": event, "rid": obj["rid"], "obj": obj});
            if let Some(out) = out {
                line["out"] = out;
            }
            return line.to_string();
        }
        match out {
            None => format!("{word}: obj={obj}"),
            Some(out) => format!("{word}: obj={obj}, out={out}"),
        }
    }

    fn request(&self, request: &TokenizedGenerateReqInput, codec: Option<&dyn TextCodec>) -> Value {
        let mut obj = json!({
            "rid": request.rid,
            "stream": request.stream,
            "return_logprob": request.return_logprob,
            "prompt_tokens": request.input_ids.as_ref().map_or(0, |ids| ids.len()),
        });
        if self.level >= 1 {
            obj["sampling_params"] = request.sampling_params.to_json().into();
        }
        if self.level >= 2 {
            if let Some(text) = self.input_text(request, codec) {
                obj["text"] = text;
            }
            if let Some(name) = &request.lora_name {
                obj["lora_path"] = name.as_str().into();
            }
        }
        if self.level >= 3 {
            obj["input_ids"] = json!(request.input_ids.as_ref().map(|ids| &ids.0));
        }
        obj
    }

    /// The part of the prompt that the level shows. Chats and prompts of ids have no text, so their ids are decoded.
    fn input_text(
        &self,
        request: &TokenizedGenerateReqInput,
        codec: Option<&dyn TextCodec>,
    ) -> Option<Value> {
        if let Some(text) = &request.input_text {
            return self.shorten(text);
        }
        let ids = &request.input_ids.as_ref()?.0;
        // A token may be less than a character, but this many tokens are enough for the shown characters.
        let shown = if self.level == 2 { ids.get(..4 * LEVEL_2_CHARS).unwrap_or(ids) } else { ids };
        self.shorten(&codec?.decode(shown, false).ok()?)
    }

    /// The part of a text that the level shows.
    fn shorten(&self, text: &str) -> Option<Value> {
        match self.level {
            0 | 1 => None,
            2 => Some(text.chars().take(LEVEL_2_CHARS).collect::<String>().into()),
            _ => Some(text.into()),
        }
    }
}

fn reason(reason: &FinishReason) -> Value {
    serde_json::to_value(reason).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::ReqState;

    #[test]
    fn levels_show_more_and_more() {
        let mut request = crate::state::test_request("a");
        request.input_text = Some("x".repeat(5000));
        let shown = |level| RequestLog { enabled: true, level, json: false }.request(&request, None);
        assert!(shown(0).get("sampling_params").is_none());
        assert!(shown(1)["sampling_params"].is_object() && shown(1).get("text").is_none());
        assert_eq!(shown(2)["text"].as_str().unwrap().len(), 2048);
        assert_eq!(shown(3)["text"].as_str().unwrap().len(), 5000);
        assert_eq!(shown(3)["input_ids"], json!([1, 2]));
    }

    #[test]
    fn lines_are_text_or_json_with_the_references_words() {
        let obj = json!({"rid": "a"});
        let text = RequestLog { enabled: true, level: 0, json: false };
        assert_eq!(
            text.line("request.received", "Receive", obj.clone(), None),
            "Receive: obj={\"rid\":\"a\"}"
        );
        let json_log = RequestLog { json: true, ..text };
        let line = json_log.line("request.finished", "Finish", obj, Some(json!({"e2e_latency": 1.5})));
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["event"], &line["out"]["e2e_latency"]), (&json!("request.finished"), &json!(1.5)));
        // A request without an end has no line yet.
        json_log.finished(&ReqState::new(crate::state::test_request("b"), std::time::Instant::now()), None);
    }

    #[test]
    fn a_prompt_of_ids_shows_as_text_too() {
        let mut request = crate::state::test_request("a");
        request.input_ids =
            Some(sglang_proto::wire::TokenIds("hello ".repeat(2000).bytes().map(u32::from).collect()));
        let codec = crate::test_codec::ByteCodec::default();
        let shown = |level| RequestLog { enabled: true, level, json: false }.request(&request, Some(&codec));
        assert_eq!(shown(1).get("text"), None);
        assert_eq!(shown(2)["text"].as_str().unwrap(), &"hello ".repeat(2000)[..LEVEL_2_CHARS]);
        assert_eq!(shown(3)["text"].as_str().unwrap().len(), 12_000);
    }
}
