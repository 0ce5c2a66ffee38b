//! Timestamps of a request (reference: `SchedulerReqTimeStats` in `observability/req_time_stats.py`).

/// Times of a request's events so far, on the caller's clock in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReqTimes {
    /// Time of arrival.
    pub received: f64,
    /// When it first entered the waiting queue.
    pub queued: Option<f64>,
    /// When its first step was planned.
    pub forward: Option<f64>,
    /// When its prompt was first completely computed.
    pub prefill_finished: Option<f64>,
    /// Total seconds in the waiting queue.
    pub queue_duration: f64,
    /// Seconds per chunk of a chunked prompt, without the last.
    pub chunks: Vec<f64>,
    /// Start of the current wait, if it is waiting.
    waiting_since: Option<f64>,
    /// Start of the current chunk of the prompt.
    chunk_began: f64,
    /// Whether something has changed since [`ReqTimes::take_news`].
    news: bool,
}

impl ReqTimes {
    /// Times of a request that arrived at `received`.
    pub(crate) fn new(received: f64) -> Self {
        Self { received, ..Self::default() }
    }

    /// Records that it enters the waiting queue.
    pub(crate) fn enter_queue(&mut self, now: f64) {
        self.queued.get_or_insert(now);
        self.waiting_since = Some(now);
        self.news = true;
    }

    /// Records that it leaves the queue for a step.
    pub(crate) fn enter_forward(&mut self, now: f64) {
        self.forward.get_or_insert(now);
        self.queue_duration += self.waiting_since.take().map_or(0.0, |since| now - since);
        self.chunk_began = now;
        self.news = true;
    }

    /// Records that a chunk of its prompt was computed. Only the first prefill counts.
    pub(crate) fn finish_chunk(&mut self, now: f64, last: bool) {
        if self.prefill_finished.is_some() {
            return;
        }
        if last {
            self.prefill_finished = Some(now);
        } else {
            self.chunks.push(now - self.chunk_began);
            self.chunk_began = now;
        }
        self.news = true;
    }

    /// Start of the current wait, if it is waiting.
    pub(crate) fn waiting_since(&self) -> Option<f64> {
        self.waiting_since
    }

    /// The times, if they changed since the last call.
    pub(crate) fn take_news(&mut self) -> Option<Box<Self>> {
        std::mem::take(&mut self.news).then(|| Box::new(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stay_in_the_queue_counts_and_the_first_moments_stay() {
        let mut times = ReqTimes::new(1.0);
        assert_eq!(times.take_news(), None);
        times.enter_queue(2.0);
        times.enter_forward(5.0);
        times.finish_chunk(6.0, false);
        times.finish_chunk(8.0, true);
        let first = times.take_news().unwrap();
        assert_eq!((first.received, first.queued, first.forward), (1.0, Some(2.0), Some(5.0)));
        assert_eq!((first.prefill_finished, first.queue_duration), (Some(8.0), 3.0));
        assert_eq!(first.chunks, [1.0]);
        assert_eq!(times.take_news(), None, "nothing has changed");
        times.enter_queue(10.0);
        times.enter_forward(14.0);
        times.finish_chunk(15.0, false);
        times.finish_chunk(16.0, true);
        let second = times.take_news().unwrap();
        assert_eq!(
            (second.queued, second.forward, second.prefill_finished),
            (Some(2.0), Some(5.0), Some(8.0))
        );
        assert_eq!((second.queue_duration, second.chunks.as_slice()), (7.0, [1.0].as_slice()));
    }
}
