//! Server arguments: one table of flags from which the command line, `--help`, shell completions, the `--config` file
//! and the answer of `/get_server_info` are made.
//!
//! A flag's row says everything about it: name, type, default, help, the values that are valid, and its rule about other
//! flags. Reading goes in three steps: what was typed ([`cli`], [`config`]), what follows from it ([`implied`]), and
//! whether each flag accepts its value ([`check`]). A flag of the reference that has no effect here yet is known to the
//! table, and giving it is an error.

mod check;
mod cli;
mod config;
mod exit;
mod fields;
mod flags;
mod implied;
mod known;
mod lora;
mod no_effect;
mod not_yet;
mod range;
mod rows;
mod rules;
mod spec;
mod table;
mod value;

use serde_json::Value;
use sglang_proto::{CaptureHiddenMode, LoRARef};

pub use check::check_range;
pub use exit::Exit;
pub use flags::{flags, secrets};
pub use range::Range;
pub use rules::check_chunk;
pub use spec::{Default, FlagSpec, Group, Kind, Support};
pub use table::ServerArgs;
pub use value::JsonObject;

/// `--mem-fraction-static` when it is not given.
pub const DEFAULT_MEM_FRACTION_STATIC: f64 = 0.8;

impl ServerArgs {
    /// The name of the model in answers: `--served-model-name`, else `--model-path`.
    pub fn served_model_name(&self) -> &str {
        self.served_model_name.as_deref().unwrap_or(&self.model_path)
    }

    /// Where the tokenizer comes from: `--tokenizer-path`, else `--model-path`.
    pub fn tokenizer_path(&self) -> &str {
        self.tokenizer_path.as_deref().unwrap_or(&self.model_path)
    }

    /// Where the model is on disk: `--model-files` for a model of the hub, else `--model-path`.
    pub fn model_files(&self) -> &str {
        self.model_files.as_deref().unwrap_or(&self.model_path)
    }

    /// Where a separate tokenizer is on disk: `--tokenizer-files` for one of the hub, else `--tokenizer-path`. `None`
    /// when the tokenizer is the model's.
    pub fn own_tokenizer_files(&self) -> Option<&str> {
        self.tokenizer_files.as_deref().or(self.tokenizer_path.as_deref())
    }

    /// Where the tokenizer is on disk.
    pub fn tokenizer_files(&self) -> &str {
        self.own_tokenizer_files().unwrap_or_else(|| self.model_files())
    }

    /// `https` with `--ssl-certfile`, else `http`.
    pub fn url_scheme(&self) -> &'static str {
        if self.ssl_certfile.is_some() { "https" } else { "http" }
    }

    /// Which hidden states requests may ask for.
    pub fn hidden_states(&self) -> CaptureHiddenMode {
        match self.return_hidden_states_mode.as_deref() {
            None => CaptureHiddenMode::Null,
            Some("last") => CaptureHiddenMode::Last,
            Some(_) => CaptureHiddenMode::Full,
        }
    }

    /// The adapters of `--lora-paths`; the flag's rule has made sure that each can be read.
    pub fn lora_refs(&self) -> Vec<LoRARef> {
        self.lora_paths.iter().flatten().filter_map(|item| LoRARef::from_flag(item).ok()).collect()
    }

    /// Every argument of the reference by its snake_case name and in its order, with what follows from others filled
    /// in, as `/get_server_info` gives them, then our own ones. What depends on the model or the machine is as it was
    /// given. Nothing is left out, keys included: the route that shows it guards them.
    pub fn to_json(&self) -> JsonObject {
        let mut own = self.fields_json();
        own.insert("served_model_name".to_owned(), self.served_model_name().into());
        own.insert("tokenizer_path".to_owned(), self.tokenizer_path().into());
        // As the text that was typed.
        let overrides = Value::Object(self.json_model_override_args.clone()).to_string();
        own.insert("json_model_override_args".to_owned(), overrides.into());
        for (name, default) in [
            ("mem_fraction_static", DEFAULT_MEM_FRACTION_STATIC.into()),
            ("expert_distribution_recorder_buffer_size", 1000.into()),
            // There is one set of kernels per device; none of the reference's libraries is needed.
            ("attention_backend", "torch_native".into()),
        ] {
            if let Some(value @ Value::Null) = own.get_mut(name) {
                *value = default;
            }
        }
        // Not the reference's, and of no meaning beyond this machine.
        for path in ["model_files", "tokenizer_files"] {
            own.shift_remove(path);
        }
        let known =
            |name: &str| not_yet::FLAGS.iter().chain(no_effect::FLAGS).find(|flag| flag.field == name);
        let mut all = fields::complete(own, |name| known(name).map(not_yet::default_json));
        all.extend(self.without_effect.clone());
        all
    }
}
