//! The checkpoint that is currently served; an update can replace the initial one.

use sglang_server_args::ServerArgs;

/// Path, name and label of the weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Where the weights were loaded from.
    pub model_path: String,
    /// Name of the model in answers.
    pub model_name: String,
    /// Format of the weights.
    pub load_format: String,
    /// Label of the weights.
    pub weight_version: String,
}

impl Served {
    /// The checkpoint with which a server with these arguments starts.
    pub fn at_start(args: &ServerArgs) -> Self {
        Self {
            model_path: args.model_path.clone(),
            model_name: args.served_model_name().to_owned(),
            load_format: args.load_format.clone(),
            weight_version: args.weight_version.clone(),
        }
    }
}
