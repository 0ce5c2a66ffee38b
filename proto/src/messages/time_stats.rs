//! Timestamps and durations of a request in the scheduler.

use crate::wire::positional;

positional! {
    /// Replaces the reference's `SchedulerReqTimeStats`, which is sent as a pickled Python object. Timestamps are in
    /// seconds since 1970, and 0 until they are known; durations are in seconds.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ReqTimeStats {
        /// The message arrived.
        pub scheduler_recv_time: f64 = 0.0,
        /// The request first entered the waiting queue.
        pub wait_queue_entry_time: f64 = 0.0,
        /// Its first step was planned.
        pub forward_entry_time: f64 = 0.0,
        /// The last chunk of its prompt was first computed.
        pub prefill_finished_time: f64 = 0.0,
        /// Total time in the waiting queue.
        pub queue_duration_s: f64 = 0.0,
        /// Duration of each chunk of the prompt except the last; empty without chunks.
        pub chunked_prefill_s: Vec<f64> = Vec::new(),
    }
}
