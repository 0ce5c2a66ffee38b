//! The answer of `/encode` and `/classify`.

use serde::ser::{Serialize, SerializeMap, Serializer};
use sglang_tokenizer_manager::manager::ShowOptions;
use sglang_tokenizer_manager::state::{Output, ReqState};

use super::meta_info::own_times;
use crate::app::App;

/// One vector with its `meta_info`.
pub struct EmbeddingAnswer<'a> {
    /// The request.
    pub state: &'a ReqState,
    /// What the request wants to be shown.
    pub show: ShowOptions,
    /// The server.
    pub app: &'a App,
}

impl Serialize for EmbeddingAnswer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let output = self.state.output();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("embedding", &output.embedding)?;
        let meta_info = EmbeddingMetaInfo { state: self.state, output: &output, app: self.app };
        map.serialize_entry("meta_info", &meta_info)?;
        if let Some(hidden) = &output.pooled_hidden_state {
            map.serialize_entry("pooled_hidden_state", hidden)?;
        }
        if self.show.return_prompt_token_ids {
            let ids = self.state.request.input_ids.as_ref().map(|ids| &ids.0);
            map.serialize_entry("prompt_token_ids", &ids)?;
        }
        map.end()
    }
}

/// `meta_info` of an answer without tokens. It has fewer keys than that of generated text.
pub struct EmbeddingMetaInfo<'a> {
    /// The request.
    pub state: &'a ReqState,
    /// Its output.
    pub output: &'a Output,
    /// The server.
    pub app: &'a App,
}

impl Serialize for EmbeddingMetaInfo<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let finish = self.output.finish.as_ref();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", self.state.rid())?;
        map.serialize_entry("finish_reason", &finish.map(|f| &f.reason))?;
        map.serialize_entry("prompt_tokens", &self.output.counts.prompt_tokens)?;
        map.serialize_entry("weight_version", &self.app.weight_version())?;
        map.serialize_entry("num_retractions", &self.output.counts.num_retractions)?;
        let times = self.app.args.enable_metrics;
        if let Some(of_scheduler) = self.output.times.as_ref().filter(|_| times) {
            map.serialize_entry("queue_time", &of_scheduler.queue_duration_s)?;
        }
        map.serialize_entry("e2e_latency", &finish.map(|f| f.e2e_latency))?;
        if let Some(finish) = finish.filter(|_| times) {
            own_times(&mut map, self.state, self.output, finish, true)?;
        }
        map.serialize_entry("response_sent_to_client_ts", &self.state.timing.sent_ts())?;
        map.end()
    }
}
