//! What one argument's type cannot say: ranges, and values that this version does not support yet.

use super::ServerArgs;
use super::exit::Exit;
use sglang_proto::CaptureHiddenMode;

impl ServerArgs {
    /// Checks ranges and combinations. The error names the flag and says what would be valid.
    pub(super) fn check(mut self) -> Result<Self, Exit> {
        let at_least_one: [(&str, Option<usize>); 13] = [
            ("context-length", self.context_length),
            ("stream-interval", Some(self.stream_interval)),
            ("max-running-requests", self.max_running_requests),
            ("max-total-tokens", self.max_total_tokens),
            ("max-prefill-tokens", Some(self.max_prefill_tokens)),
            ("prefill-max-requests", self.prefill_max_requests),
            ("page-size", Some(self.page_size)),
            ("scheduler-threads", self.scheduler_threads),
            ("decode-log-interval", Some(self.decode_log_interval)),
            ("tp-size", Some(self.tp_size)),
            ("dp-size", Some(self.dp_size)),
            ("max-loras-per-batch", Some(self.max_loras_per_batch)),
            ("max-lora-rank", self.max_lora_rank),
        ];
        for (flag, value) in at_least_one {
            if value == Some(0) {
                return Err(Exit::bad_value(flag, "0", "expected 1 or more"));
            }
        }
        if self.model_path.is_empty() {
            return Err(Exit::bad_value("model-path", "", "expected a folder or a GGUF file"));
        }
        if let Some(fraction) = self.mem_fraction_static
            && !(fraction > 0.0 && fraction < 1.0)
        {
            let why = "expected a number above 0 and below 1";
            return Err(Exit::bad_value("mem-fraction-static", &fraction.to_string(), why));
        }
        if let Some(size) = self.chunked_prefill_size
            && size != -1
            && size < 1
        {
            let why = "expected 1 or more, or -1 to turn chunking off";
            return Err(Exit::bad_value("chunked-prefill-size", &size.to_string(), why));
        }
        if let Some(size) = self.chunked_prefill_size
            && size > 0
            && !(size as u64).is_multiple_of(self.page_size as u64)
        {
            let why = format!("expected a multiple of --page-size {}", self.page_size);
            return Err(Exit::bad_value("chunked-prefill-size", &size.to_string(), &why));
        }
        if let Some(size) = self.expert_distribution_recorder_buffer_size
            && size != -1
            && size < 1
        {
            let why = "expected 1 or more, or -1 to keep all steps";
            let flag = "expert-distribution-recorder-buffer-size";
            return Err(Exit::bad_value(flag, &size.to_string(), why));
        }
        for (flag, value) in [
            ("schedule-conservativeness", self.schedule_conservativeness),
            ("watchdog-timeout", self.watchdog_timeout),
        ] {
            if value <= 0.0 {
                return Err(Exit::bad_value(flag, &value.to_string(), "expected a number above 0"));
            }
        }
        for (flag, key) in [("api-key", &self.api_key), ("admin-api-key", &self.admin_api_key)] {
            // A header could not carry anything else, so no request could ever match.
            if key.as_ref().is_some_and(|k| k.is_empty() || !k.bytes().all(|b| b.is_ascii_graphic())) {
                return Err(Exit::bad_value(flag, "…", "expected printable ASCII characters without spaces"));
            }
        }
        let window = self.http2_initial_connection_window_size;
        if !(1024..=i32::MAX as u32).contains(&window) {
            let why = "expected 1024 to 2147483647";
            return Err(Exit::bad_value("http2-initial-connection-window-size", &window.to_string(), why));
        }
        self.check_tls()?;
        self.check_lora()?;
        // Old names of the same parsers; the reference reports the new ones (`arg_groups/serving_hook.py`).
        match self.tool_call_parser.as_deref() {
            Some("qwen25") => self.tool_call_parser = Some("qwen".to_owned()),
            Some("glm45") => self.tool_call_parser = Some("glm".to_owned()),
            _ => {}
        }
        // Either flag sets the other (`arg_groups/serving_hook.py`).
        if self.enable_return_hidden_states && self.return_hidden_states_mode.is_none() {
            self.return_hidden_states_mode = Some("full".to_owned());
        }
        self.enable_return_hidden_states = self.return_hidden_states_mode.is_some();
        Ok(self)
    }

    /// Which hidden states requests may ask for.
    pub fn hidden_states(&self) -> CaptureHiddenMode {
        match self.return_hidden_states_mode.as_deref() {
            None => CaptureHiddenMode::Null,
            Some("last") => CaptureHiddenMode::Last,
            Some(_) => CaptureHiddenMode::Full,
        }
    }

    /// Key and certificate belong together, and the other flags for HTTPS to them. The files are read later.
    fn check_tls(&self) -> Result<(), Exit> {
        let given = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
        match (given(&self.ssl_keyfile), given(&self.ssl_certfile)) {
            (Some(_), Some(_)) => return Ok(()),
            (Some(key), None) => {
                return Err(Exit::bad_value("ssl-keyfile", &key, "needs --ssl-certfile as well"));
            }
            (None, Some(file)) => {
                return Err(Exit::bad_value("ssl-certfile", &file, "needs --ssl-keyfile as well"));
            }
            (None, None) => {}
        }
        let others = [
            ("ssl-ca-certs", self.ssl_ca_certs.is_some()),
            ("ssl-keyfile-password", self.ssl_keyfile_password.is_some()),
            ("enable-ssl-refresh", self.enable_ssl_refresh),
        ];
        match others.iter().find(|(_, given)| *given) {
            Some((flag, _)) => {
                Err(Exit::bad_value(flag, "", "has no effect without --ssl-keyfile and --ssl-certfile"))
            }
            None => Ok(()),
        }
    }
}
