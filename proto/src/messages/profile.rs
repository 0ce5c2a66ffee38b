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
        /// Step with which the trace starts; the next one when absent.
        pub start_step: Option<i64> = None,
        /// Steps after which it stops by itself.
        pub num_steps: Option<i64> = None,
        /// `CPU`, `GPU`, `MEM`, `RPD`.
        pub activities: Option<Vec<String>> = None,
        /// Prefill and decode apart.
        pub profile_by_stage: bool = false,
        /// Unused.
        pub with_stack: Option<bool> = None,
        /// Unused.
        pub record_shapes: Option<bool> = None,
        /// First part of the file's name.
        pub profile_id: Option<String> = None,
        /// Unused: there is one rank.
        pub merge_profiles: bool = false,
        /// Stands before the file's name.
        pub profile_prefix: Option<String> = None,
        /// Stages to trace.
        pub profile_stages: Option<Vec<String>> = None,
        /// Unused: every step is annotated.
        pub detailed_annotations: bool = false
    }
    /// Answer to [`ProfileReq`].
    answer ProfileReqOutput {
        /// Whether it was done.
        pub success: bool,
        /// Why not, or where the trace is.
        pub message: String,
    }
}
