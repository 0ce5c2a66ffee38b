//! How many requests are sent, and for how long.

use std::time::Duration;

/// The limit that is reached first applies. Requests that were sent are finished in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limit {
    pub count: Option<usize>,
    /// No request is sent after this time.
    pub time: Option<Duration>,
}
