//! Messages that start and stop a trace of the scheduler.

use super::control::control;
use crate::wire::message;

/// [`ProfileReq::req_type`] that starts a trace.
pub const START_PROFILE: i64 = 1;
/// [`ProfileReq::req_type`] that stops it.
pub const STOP_PROFILE: i64 = 2;

control! {
    /// Starts or stops a trace.
    ProfileReq {;
        /// [`START_PROFILE`] or [`STOP_PROFILE`].
        req_type: i64 = START_PROFILE,
        /// Folder for the trace file.
        output_dir: Option<String> = None,
        /// Step with which the trace starts; the next one when absent.
        start_step: Option<i64> = None,
        /// Steps after which it stops by itself.
        num_steps: Option<i64> = None,
        /// `CPU`, `GPU`, `MEM`, `RPD`.
        activities: Option<Vec<String>> = None,
        /// Prefill and decode apart.
        profile_by_stage: bool = false,
        /// Unused.
        with_stack: Option<bool> = None,
        /// Unused.
        record_shapes: Option<bool> = None,
        /// First part of the file's name.
        profile_id: Option<String> = None,
        /// Unused: there is one rank.
        merge_profiles: bool = false,
        /// Stands before the file's name.
        profile_prefix: Option<String> = None,
        /// Stages to trace.
        profile_stages: Option<Vec<String>> = None,
        /// Unused: every step is annotated.
        detailed_annotations: bool = false
    }
    /// Answer to [`ProfileReq`].
    ProfileReqOutput { /// Whether it was done.
        success: bool, /// Why not, or where the trace is.
        message: String; }
}
