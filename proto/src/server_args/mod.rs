//! Server arguments: one table of flags from which the command line, `--help`, shell completions, the `--config` file
//! and the answer of `/get_server_info` are made.
//!
//! Reading goes in two steps: what was typed ([`cli`], [`config`]) and what it means ([`ServerArgs`], checked in
//! [`check`]). A flag of the reference that has no effect here yet is known to the table, and giving it is an error.

mod check;
mod cli;
mod config;
mod lora;
mod not_yet;
mod spec;
mod table;
mod value;

pub use cli::Exit;
pub use lora::LORA_TARGET_MODULES;
pub use spec::{Default, FlagSpec, Group, Kind, Support};
pub use table::ServerArgs;
pub use value::JsonObject;

/// Every flag: those with a field in [`ServerArgs`], then those that are only known by name.
pub fn flags() -> impl Iterator<Item = &'static FlagSpec> {
    table::FLAGS.iter().chain(not_yet::FLAGS)
}

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

    /// Where a tokenizer of its own is on disk: `--tokenizer-files` for one of the hub, else `--tokenizer-path`. `None`
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

    /// Every argument by its snake_case name, with the names that follow from others filled in, as
    /// `/get_server_info` gives them. Nothing is left out, keys included: the route that shows it guards them.
    pub fn to_json(&self) -> JsonObject {
        let mut map = self.fields_json();
        map.insert("served_model_name".to_owned(), self.served_model_name().into());
        map.insert("tokenizer_path".to_owned(), self.tokenizer_path().into());
        // Not the reference's, and of no meaning beyond this machine.
        for own in ["model_files", "tokenizer_files"] {
            map.remove(own);
        }
        for flag in not_yet::FLAGS {
            map.insert(flag.field.to_owned(), not_yet::default_json(flag));
        }
        map
    }
}
