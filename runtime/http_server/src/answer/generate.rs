//! The answer of `/generate`, whole or as one chunk of a stream.

use serde::ser::{Serialize, SerializeMap, Serializer};
use sglang_tokenizer_manager::manager::ShowOptions;
use sglang_tokenizer_manager::state::{Output, ReqState};

use super::meta_info::MetaInfo;
use crate::app::App;

/// How much of the output a reader has had. In a cumulative stream it is always zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Bytes of text.
    pub text: usize,
    /// Number of token ids.
    pub ids: usize,
}

/// One answer to write.
pub struct GenerateAnswer<'a> {
    /// The request.
    pub state: &'a ReqState,
    /// Where the shown output starts.
    pub from: Cursor,
    /// What the request wants to be shown.
    pub show: ShowOptions,
    /// Position in a batch, for streams.
    pub index: Option<usize>,
    /// Whether this is the first chunk, or the only answer.
    pub first: bool,
    /// The server.
    pub app: &'a App,
}

/// A written answer.
pub struct Written {
    /// The JSON object.
    pub json: String,
    /// How much output it covers.
    pub end: Cursor,
    /// Whether it is the last chunk of the stream, or the only answer.
    pub finished: bool,
}

impl GenerateAnswer<'_> {
    /// The answer as JSON.
    pub fn write(&self) -> Written {
        let output = self.state.output();
        let end = Cursor { text: output.text.len(), ids: output.output_ids.len() };
        let json = serde_json::to_string(&Body { answer: self, output: &output }).unwrap_or_else(|e| {
            // Only a map with keys that are not strings could fail, and there is none here.
            tracing::error!("cannot write an answer: {e}");
            "{}".into()
        });
        Written { json, end, finished: output.finish.is_some() }
    }
}

impl GenerateAnswer<'_> {
    fn meta_info<'b>(&'b self, output: &'b Output, weight_version: &'b str) -> MetaInfo<'b> {
        MetaInfo {
            state: self.state,
            output,
            from: self.from.ids,
            texts: self.app.manager.limits.codec.as_deref().filter(|_| self.show.return_text_in_logprobs),
            weight_version,
            first: self.first,
            with_times: self.app.args.enable_metrics,
        }
    }
}

/// Only the `meta_info` of an answer.
pub struct GenerateMetaInfo<'a>(pub GenerateAnswer<'a>);

impl Serialize for GenerateMetaInfo<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let output = self.0.state.output();
        self.0.meta_info(&output, &self.0.app.weight_version()).serialize(serializer)
    }
}

struct Body<'a> {
    answer: &'a GenerateAnswer<'a>,
    output: &'a Output,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let GenerateAnswer { state, from, show, index, app, .. } = *self.answer;
        let codec = app.manager.limits.codec.as_deref();
        let mut map = serializer.serialize_map(None)?;
        if codec.is_some() {
            map.serialize_entry("text", self.output.text.get(from.text..).unwrap_or_default())?;
        }
        map.serialize_entry("output_ids", self.output.output_ids.get(from.ids..).unwrap_or_default())?;
        let weight_version = app.weight_version();
        map.serialize_entry("meta_info", &self.answer.meta_info(self.output, &weight_version))?;
        if show.return_prompt_token_ids {
            map.serialize_entry("prompt_token_ids", &state.request.input_ids.as_ref().map(|ids| &ids.0))?;
        }
        if let Some(index) = index {
            map.serialize_entry("index", &index)?;
        }
        map.end()
    }
}
