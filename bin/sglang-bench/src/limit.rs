//! How much is sent.

use std::time::Duration;

/// What is reached first ends it. What has been sent is finished in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limit {
    pub count: Option<usize>,
    /// No request is sent later than this.
    pub time: Option<Duration>,
}
