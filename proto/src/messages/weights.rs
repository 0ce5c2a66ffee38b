//! Messages about the weights of a running server.

use super::control::control;

control! {
    /// Asks for the weights of another checkpoint of the same shape.
    call UpdateWeightFromDiskReqInput -> UpdateWeightFromDiskReqOutput {
        /// Folder, file or hub id of the new weights.
        pub model_path: String,
        /// `--load-format` of the new weights.
        pub load_format: Option<String> = None,
        /// End all requests before.
        pub abort_all_requests: bool = false,
        /// Label of the new weights.
        pub weight_version: Option<String> = None,
        /// Unused.
        pub is_async: bool = false,
        /// Give cached device memory back.
        pub torch_empty_cache: bool = false,
        /// Stay paused when the new weights are in place.
        pub keep_pause: bool = false,
        /// Unused.
        pub recapture_cuda_graph: bool = false,
        /// Step of the trainer that made the weights; unused.
        pub token_step: i64 = 0,
        /// Empty the radix cache, whose keys and values are those of the old weights.
        pub flush_cache: bool = true,
        /// Unused.
        pub manifest: Option<serde_json::Value> = None,
    }
    /// Answer to [`UpdateWeightFromDiskReqInput`].
    answer UpdateWeightFromDiskReqOutput {
        /// Whether the new weights are served, and the cache is empty if that was asked for.
        pub success: bool,
        /// What happened.
        pub message: String,
        /// Unfinished requests that were held back while the weights were exchanged.
        pub num_paused_requests: u64 = 0,
        own {
            /// Whether the new weights are served, also where the cache could not be emptied; the reference then goes on to
            /// name the old ones.
            pub weights_served: bool = false,
        }
    }
    /// Gives the weights that are served another label.
    call UpdateWeightVersionReqInput -> UpdateWeightVersionReqOutput {
        /// The label.
        pub new_version: String,
        /// End all requests before; the tokenizer manager does it.
        pub abort_all_requests: bool = true,
    }
    /// Answer to [`UpdateWeightVersionReqInput`]: it is done.
    answer UpdateWeightVersionReqOutput {}
    /// Asks for some numbers of a weight.
    call GetWeightsByNameReqInput -> GetWeightsByNameReqOutput {
        /// Name in the checkpoint, such as `model.norm.weight`.
        pub name: String,
        /// Largest number of rows, or of numbers of a vector.
        pub truncate_size: i64 = 100,
    }
    /// Answer to [`GetWeightsByNameReqInput`].
    answer GetWeightsByNameReqOutput {
        /// Rows of numbers, or numbers; null without such a weight.
        pub parameter: serde_json::Value,
    }
}
