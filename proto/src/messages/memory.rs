//! Messages about the memory and the pace of a running server.

use super::control::control;

control! {
    /// Asks for memory to be given back for a while.
    call ReleaseMemoryOccupationReqInput -> ReleaseMemoryOccupationReqOutput {
        /// Parts by the names of [`crate::worker::MemoryTag`]; none or an empty list is all.
        pub tags: Option<Vec<String>> = None,
    }
    /// Answer to [`ReleaseMemoryOccupationReqInput`].
    answer ReleaseMemoryOccupationReqOutput {
        own {
            /// Whether it was done; the reference's scheduler ends when it cannot.
            pub success: bool = true,
            /// Why not.
            pub message: String = String::new(),
            /// Whether anything is released now.
            pub released: bool = true,
        }
    }
    /// Asks for memory that was given back.
    call ResumeMemoryOccupationReqInput -> ResumeMemoryOccupationReqOutput {
        /// As in [`ReleaseMemoryOccupationReqInput`].
        pub tags: Option<Vec<String>> = None,
    }
    /// Answer to [`ResumeMemoryOccupationReqInput`].
    answer ResumeMemoryOccupationReqOutput {
        own {
            /// Whether it was done.
            pub success: bool = true,
            /// Why not.
            pub message: String = String::new(),
            /// Whether anything is released still.
            pub released: bool = false,
        }
    }
    /// Has every step of the model wait, for tests of a server under load.
    call SlowDownReqInput -> SlowDownReqOutput {
        /// Seconds before each step; none or 0 ends it.
        pub forward_sleep_time: Option<f64>,
    }
    /// Answer to [`SlowDownReqInput`].
    answer SlowDownReqOutput {}
    /// Asks what the weights are, or whether they are still what they were.
    call CheckWeightsReqInput -> CheckWeightsReqOutput {
        /// `checksum`, `snapshot` or `compare`.
        pub action: String = "checksum".into(),
        /// Unused: weights are compared by their stored bytes.
        pub allow_quant_error: bool = false,
        /// Weights whose name contains one of these are left out.
        pub skip_tensor_list: Option<Vec<String>> = None,
        /// `target`, `draft` or `all`; there is no draft model.
        pub selector: String = "all".into(),
    }
    /// Answer to [`CheckWeightsReqInput`].
    answer CheckWeightsReqOutput {
        /// Whether it was done, and weights that were compared are the same.
        pub success: bool,
        /// What happened.
        pub message: String,
        /// One object per tensor-parallel rank with `checksums`, `per_gpu_checksum` and `parallelism_info`.
        pub payload: Option<serde_json::Value> = None,
    }
}
