//! What the server serves at the moment: another checkpoint can take the place of the one it started with.

use sglang_server_args::ServerArgs;

/// Path, name and label of the weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Where the weights come from.
    pub model_path: String,
    /// Name of the model in answers.
    pub model_name: String,
    /// Format of the weights.
    pub load_format: String,
    /// Label of the weights.
    pub weight_version: String,
}

impl Served {
    /// What a server with these arguments starts with.
    pub fn at_start(args: &ServerArgs) -> Self {
        Self {
            model_path: args.model_path.clone(),
            model_name: args.served_model_name().to_owned(),
            load_format: args.load_format.clone(),
            weight_version: args.weight_version.clone(),
        }
    }
}
