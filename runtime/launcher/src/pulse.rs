//! Detects from the heartbeat counters of a process which threads have stopped, and for how long. It reads no clock.

use std::time::Duration;

/// If the launcher checks later than planned by more than this, it assumes that it was stopped itself.
const LATE: Duration = Duration::from_secs(1);

/// State of the threads of one life of a process.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    threads: Vec<Thread>,
    looked: Option<Duration>,
}

#[derive(Debug)]
struct Thread {
    name: String,
    count: u64,
    /// When the count was first seen.
    since: Duration,
}

impl Pulse {
    /// Stores the counters at time `now`; the next call is planned `every` later. Returns the thread that has been
    /// without heartbeat for longest, and for how long.
    ///
    /// If much more time than `every` has passed, the launcher itself was stopped, and perhaps its processes too: that
    /// time does not count.
    pub(crate) fn look(
        &mut self,
        counters: Vec<(String, u64)>,
        now: Duration,
        every: Duration,
    ) -> Option<(&str, Duration)> {
        let passed = self.looked.map_or(Duration::ZERO, |looked| now.saturating_sub(looked));
        let slept = if passed > every + LATE { passed } else { Duration::ZERO };
        self.looked = Some(now);
        for (index, (name, count)) in counters.into_iter().enumerate() {
            match self.threads.get_mut(index) {
                Some(thread) if thread.name == name && thread.count == count => thread.since += slept,
                Some(thread) => *thread = Thread { name, count, since: now },
                None => self.threads.push(Thread { name, count, since: now }),
            }
        }
        let oldest = self.threads.iter().min_by_key(|thread| thread.since)?;
        Some((&oldest.name, now.saturating_sub(oldest.since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(500);

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn two(first: u64, second: u64) -> Vec<(String, u64)> {
        vec![("a".into(), first), ("b".into(), second)]
    }

    #[test]
    fn the_thread_that_stands_still_for_longest_is_named() {
        let mut pulse = Pulse::default();
        assert_eq!(pulse.look(Vec::new(), ms(0), EVERY), None);
        assert_eq!(pulse.look(two(1, 1), ms(500), EVERY), Some(("a", ms(0))));
        assert_eq!(pulse.look(two(2, 1), ms(1000), EVERY), Some(("b", ms(500))));
        assert_eq!(pulse.look(two(3, 1), ms(1500), EVERY), Some(("b", ms(1000))));
        assert_eq!(pulse.look(two(3, 2), ms(2000), EVERY), Some(("a", ms(500))));
    }

    #[test]
    fn time_in_which_the_launcher_itself_was_stopped_does_not_count() {
        let mut pulse = Pulse::default();
        pulse.look(two(1, 1), ms(0), EVERY);
        pulse.look(two(1, 2), ms(500), EVERY);
        // Everything was stopped for an hour; no thread has had a heartbeat yet.
        assert_eq!(pulse.look(two(1, 2), ms(3_600_500), EVERY), Some(("a", ms(500))));
        assert_eq!(pulse.look(two(1, 3), ms(3_601_000), EVERY), Some(("a", ms(1000))));
        // Small delays, as on a busy machine, do count.
        assert_eq!(pulse.look(two(1, 4), ms(3_602_400), EVERY), Some(("a", ms(2400))));
    }
}
