//! Messages about the weights of a running server.

use super::control::control;

control! {
    /// Replaces the weights with those of another checkpoint of the same shape.
    call UpdateWeightFromDiskReqInput -> UpdateWeightFromDiskReqOutput {
        /// Folder, file or hub id of the new weights.
        pub model_path: String,
        /// `--load-format` of the new weights.
        pub load_format: Option<String> = None,
        /// Whether to end all requests first.
        pub abort_all_requests: bool = false,
        /// Label of the new weights.
        pub weight_version: Option<String> = None,
        /// Unused.
        pub is_async: bool = false,
        /// Whether to release cached device memory.
        pub torch_empty_cache: bool = false,
        /// Whether to stay paused after the update.
        pub keep_pause: bool = false,
        /// Unused.
        pub recapture_cuda_graph: bool = false,
        /// Training step of the weights; unused.
        pub token_step: i64 = 0,
        /// Whether to empty the radix cache, which contains keys and values of the old weights.
        pub flush_cache: bool = true,
        /// Unused.
        pub manifest: Option<serde_json::Value> = None,
    }
    /// Answer to [`UpdateWeightFromDiskReqInput`].
    answer UpdateWeightFromDiskReqOutput {
        /// Whether the new weights are served, and the cache was emptied if requested.
        pub success: bool,
        /// What happened.
        pub message: String,
        /// Number of unfinished requests that waited during the update.
        pub num_paused_requests: u64 = 0,
        own {
            /// Whether the new weights are served, even if the cache could not be emptied. In that case the reference
            /// keeps reporting the old ones.
            pub weights_served: bool = false,
        }
    }
    /// Changes the version label of the served weights.
    call UpdateWeightVersionReqInput -> UpdateWeightVersionReqOutput {
        /// The label.
        pub new_version: String,
        /// Whether to end all requests first; the tokenizer manager does this.
        pub abort_all_requests: bool = true,
    }
    /// Answer to [`UpdateWeightVersionReqInput`], which always succeeds.
    answer UpdateWeightVersionReqOutput {}
    /// Requests some numbers of a weight.
    call GetWeightsByNameReqInput -> GetWeightsByNameReqOutput {
        /// Name in the checkpoint, such as `model.norm.weight`.
        pub name: String,
        /// Most rows of a matrix, or numbers of a vector.
        pub truncate_size: i64 = 100,
    }
    /// Answer to [`GetWeightsByNameReqInput`].
    answer GetWeightsByNameReqOutput {
        /// Rows of a matrix, or numbers of a vector; null if there is no such weight.
        pub parameter: serde_json::Value,
    }
}
