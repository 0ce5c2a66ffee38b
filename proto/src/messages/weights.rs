//! Messages about the weights of a running server.

use super::control::control;
use crate::wire::message;

control! {
    /// Asks for the weights of another checkpoint of the same shape.
    UpdateWeightFromDiskReqInput { /// Folder, file or hub id of the new weights.
        model_path: String;
        /// `--load-format` of the new weights.
        load_format: Option<String> = None,
        /// End all requests before.
        abort_all_requests: bool = false,
        /// Label of the new weights.
        weight_version: Option<String> = None,
        /// Unused.
        is_async: bool = false,
        /// Give cached device memory back.
        torch_empty_cache: bool = false,
        /// Stay paused when the new weights are in place.
        keep_pause: bool = false,
        /// Unused.
        recapture_cuda_graph: bool = false,
        /// Step of the trainer that made the weights; unused.
        token_step: i64 = 0,
        /// Empty the radix cache, whose keys and values are those of the old weights.
        flush_cache: bool = true,
        /// Unused.
        manifest: Option<serde_json::Value> = None }
    /// Answer to [`UpdateWeightFromDiskReqInput`].
    UpdateWeightFromDiskReqOutput { /// Whether the new weights are served, and the cache is empty if that was asked for.
        success: bool, /// What happened.
        message: String;
        /// Unfinished requests that were held back while the weights were exchanged.
        num_paused_requests: u64 = 0;
        own { /// Whether the new weights are served, also where the cache could not be emptied; the reference then goes on to
            /// name the old ones.
            weights_served: bool = false } }
    /// Gives the weights that are served another label.
    UpdateWeightVersionReqInput { /// The label.
        new_version: String;
        /// End all requests before; the tokenizer manager does it.
        abort_all_requests: bool = true }
    /// Answer to [`UpdateWeightVersionReqInput`]: it is done.
    UpdateWeightVersionReqOutput {; }
    /// Asks for some numbers of a weight.
    GetWeightsByNameReqInput { /// Name in the checkpoint, such as `model.norm.weight`.
        name: String;
        /// Largest number of rows, or of numbers of a vector.
        truncate_size: i64 = 100 }
    /// Answer to [`GetWeightsByNameReqInput`].
    GetWeightsByNameReqOutput { /// Rows of numbers, or numbers; null without such a weight.
        parameter: serde_json::Value; }
}
