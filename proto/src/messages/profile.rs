//! Messages that start and stop a trace of the scheduler.

use super::control::control;

/// [`ProfileReq::req_type`] that starts a trace.
pub const START_PROFILE: i64 = 1;
/// [`ProfileReq::req_type`] that stops it.
pub const STOP_PROFILE: i64 = 2;

control! {
    /// Starts or stops a trace.
    call ProfileReq -> ProfileReqOutput {
        /// [`START_PROFILE`] or [`STOP_PROFILE`].
        pub req_type: i64 = START_PROFILE,
        /// Folder for the trace file.
        pub output_dir: Option<String> = None,
        /// Id of the step with which the trace starts; the next step if absent.
        pub start_step: Option<i64> = None,
        /// Number of steps after which it stops.
        pub num_steps: Option<i64> = None,
        /// What to record: `CPU`, `GPU`, `MEM` or `RPD`.
        pub activities: Option<Vec<String>> = None,
        /// Whether to trace prefill and decode separately.
        pub profile_by_stage: bool = false,
        /// Unused.
        pub with_stack: Option<bool> = None,
        /// Unused.
        pub record_shapes: Option<bool> = None,
        /// First part of the file name.
        pub profile_id: Option<String> = None,
        /// Unused: there is one rank.
        pub merge_profiles: bool = false,
        /// Prefix of the file name.
        pub profile_prefix: Option<String> = None,
        /// Stages to trace.
        pub profile_stages: Option<Vec<String>> = None,
        /// Unused: every step is annotated.
        pub detailed_annotations: bool = false
    }
    /// Answer to [`ProfileReq`].
    answer ProfileReqOutput {
        /// Whether it succeeded.
        pub success: bool,
        /// Why not, or the path of the trace.
        pub message: String,
    }
}
