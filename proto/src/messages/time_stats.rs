//! When the scheduler did what for a request.

use crate::wire::positional;

positional! {
    /// Our own form of the reference's `SchedulerReqTimeStats`, which travels as a pickled Python object. Moments are
    /// seconds since 1970, and 0 before they have come; durations are seconds.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ReqTimeStats {
        /// The message came.
        pub scheduler_recv_time: f64 = 0.0,
        /// It entered the waiting queue, for the first time.
        pub wait_queue_entry_time: f64 = 0.0,
        /// Its first step was planned.
        pub forward_entry_time: f64 = 0.0,
        /// The last part of its prompt was computed, for the first time.
        pub prefill_finished_time: f64 = 0.0,
        /// In the waiting queue, over all its stays there.
        pub queue_duration_s: f64 = 0.0,
        /// Every part of the prompt but the last, when it was computed in several.
        pub chunked_prefill_s: Vec<f64> = Vec::new(),
    }
}
