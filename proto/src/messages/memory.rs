//! Messages about the memory and the pace of a running server.

use super::control::control;
use crate::wire::message;

control! {
    /// Asks for memory to be given back for a while.
    ReleaseMemoryOccupationReqInput {; /// Parts by the names of [`crate::worker::MemoryTag`]; none or an empty list is all.
        tags: Option<Vec<String>> = None }
    /// Answer to [`ReleaseMemoryOccupationReqInput`].
    ReleaseMemoryOccupationReqOutput {;; own { /// Whether it was done; the reference's scheduler ends when it cannot.
        success: bool = true,
        /// Why not.
        message: String = String::new(),
        /// Whether anything is released now.
        released: bool = true } }
    /// Asks for memory that was given back.
    ResumeMemoryOccupationReqInput {; /// As in [`ReleaseMemoryOccupationReqInput`].
        tags: Option<Vec<String>> = None }
    /// Answer to [`ResumeMemoryOccupationReqInput`].
    ResumeMemoryOccupationReqOutput {;; own { /// Whether it was done.
        success: bool = true,
        /// Why not.
        message: String = String::new(),
        /// Whether anything is released still.
        released: bool = false } }
    /// Has every step of the model wait, for tests of a server under load.
    SlowDownReqInput { /// Seconds before each step; none or 0 ends it.
        forward_sleep_time: Option<f64>; }
    /// Answer to [`SlowDownReqInput`].
    SlowDownReqOutput {; }
    /// Asks what the weights are, or whether they are still what they were.
    CheckWeightsReqInput {; /// `checksum`, `snapshot` or `compare`.
        action: String = "checksum".into(),
        /// Unused: weights are compared by their stored bytes.
        allow_quant_error: bool = false,
        /// Weights whose name contains one of these are left out.
        skip_tensor_list: Option<Vec<String>> = None,
        /// `target`, `draft` or `all`; there is no draft model.
        selector: String = "all".into() }
    /// Answer to [`CheckWeightsReqInput`].
    CheckWeightsReqOutput { /// Whether it was done, and weights that were compared are the same.
        success: bool, /// What happened.
        message: String;
        /// One object per tensor-parallel rank with `checksums`, `per_gpu_checksum` and `parallelism_info`.
        payload: Option<serde_json::Value> = None }
}
