//! Messages about memory, delays and weights of a running server.

use super::control::control;

control! {
    /// Releases memory temporarily.
    call ReleaseMemoryOccupationReqInput -> ReleaseMemoryOccupationReqOutput {
        /// Names of the parts ([`crate::worker::MemoryTag`]); null or an empty list means all.
        pub tags: Option<Vec<String>> = None,
    }
    /// Answer to [`ReleaseMemoryOccupationReqInput`].
    answer ReleaseMemoryOccupationReqOutput {
        own {
            /// Whether it succeeded. The reference's scheduler ends if it fails.
            pub success: bool = true,
            /// Why not.
            pub message: String = String::new(),
            /// Whether any part is released now.
            pub released: bool = true,
        }
    }
    /// Resumes released memory.
    call ResumeMemoryOccupationReqInput -> ResumeMemoryOccupationReqOutput {
        /// See [`ReleaseMemoryOccupationReqInput`].
        pub tags: Option<Vec<String>> = None,
    }
    /// Answer to [`ResumeMemoryOccupationReqInput`].
    answer ResumeMemoryOccupationReqOutput {
        own {
            /// Whether it succeeded.
            pub success: bool = true,
            /// Why not.
            pub message: String = String::new(),
            /// Whether any part is still released.
            pub released: bool = false,
        }
    }
    /// Delays every step of the model, to test a server under load.
    call SlowDownReqInput -> SlowDownReqOutput {
        /// Delay of each step in seconds; null or 0 means no delay.
        pub forward_sleep_time: Option<f64>,
    }
    /// Answer to [`SlowDownReqInput`].
    answer SlowDownReqOutput {}
    /// Computes checksums of the weights, stores them, or compares with the stored ones.
    call CheckWeightsReqInput -> CheckWeightsReqOutput {
        /// `checksum`, `snapshot` or `compare`.
        pub action: String = "checksum".into(),
        /// Unused: weights are compared by their stored bytes.
        pub allow_quant_error: bool = false,
        /// Skip weights whose name contains one of these.
        pub skip_tensor_list: Option<Vec<String>> = None,
        /// `target`, `draft` or `all`; there is no draft model.
        pub selector: String = "all".into(),
    }
    /// Answer to [`CheckWeightsReqInput`].
    answer CheckWeightsReqOutput {
        /// Whether it succeeded, and compared weights are equal.
        pub success: bool,
        /// What happened.
        pub message: String,
        /// One object per tensor-parallel rank with `checksums`, `per_gpu_checksum` and `parallelism_info`.
        pub payload: Option<serde_json::Value> = None,
    }
}
