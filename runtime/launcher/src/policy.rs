//! Restart policy of a process: a state machine without clock or side effects.
//!
//! ```text
//! Starting → Ready → dead or hung → Backoff → Starting → …, or Over when the budget is spent
//! ```
//!
//! Its owner reports what happens and when, as the time since any fixed moment, and carries out the returned actions.

use std::collections::VecDeque;
use std::time::Duration;

/// A process that was ready for at least this long is restarted at once when it dies.
const STEADY: Duration = Duration::from_secs(2);
/// Delay of the second restart in a row. Each further one waits twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest delay of a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a hung process may take to end after SIGABRT before it is killed.
const GRACE: Duration = Duration::from_secs(1);

/// When a process is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Most restarts within `window`, and most failed starts in a row. 0 means no restarts.
    pub(crate) max_restarts: usize,
    /// Length of the sliding window in which restarts are counted.
    pub(crate) window: Duration,
    /// Longest duration of a start.
    pub(crate) start_limit: Duration,
}

/// State of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It was started and is not ready yet.
    Starting {
        /// When it was started.
        since: Duration,
    },
    /// It is ready.
    Ready {
        /// When it became ready.
        since: Duration,
    },
    /// It hangs or started too slowly; it was told to abort and has not ended yet.
    Hung {
        /// When to kill it; `None` if this has been done.
        kill_at: Option<Duration>,
        /// Whether it had been ready for a long time.
        steady: bool,
        /// Whether it had been ready.
        was_ready: bool,
    },
    /// It has ended and will be restarted.
    Backoff {
        /// When to restart it.
        until: Duration,
    },
    /// It has ended and will not be restarted.
    Over,
}

/// An event of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// It became ready.
    Ready,
    /// Its heartbeats stopped.
    Hung,
    /// It has ended and was reaped.
    Died,
    /// Time has passed.
    Tick,
}

/// What the owner must do with a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start its next life.
    Start,
    /// End it with SIGABRT, so that it can leave a core file.
    Abort,
    /// Kill it.
    Kill,
    /// Do not restart it.
    GiveUp,
}

/// The lives of one process, beginning with the first one, which has just been started.
#[derive(Debug)]
pub(crate) struct Lives {
    policy: Policy,
    state: State,
    /// Times of restarts within the last window.
    restarts: VecDeque<Duration>,
    /// Number of short lives in a row.
    short_lives: u32,
    /// Number of lives in a row that never became ready.
    failed_starts: usize,
}

impl Lives {
    pub(crate) fn new(policy: Policy, now: Duration) -> Self {
        Lives {
            policy,
            state: State::Starting { since: now },
            restarts: VecDeque::new(),
            short_lives: 0,
            failed_starts: 0,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    /// Number of restarts within the window that ends with the last one.
    pub(crate) fn restarts(&self) -> usize {
        self.restarts.len()
    }

    /// When the next [`Input::Tick`] is due.
    pub(crate) fn due(&self) -> Option<Duration> {
        match self.state {
            State::Starting { since } => since.checked_add(self.policy.start_limit),
            State::Hung { kill_at, .. } => kill_at,
            State::Backoff { until } => Some(until),
            State::Ready { .. } | State::Over => None,
        }
    }

    /// Handles an event at time `now` and returns what to do.
    pub(crate) fn on(&mut self, input: Input, now: Duration) -> Option<Action> {
        match (input, self.state) {
            (Input::Ready, State::Starting { .. }) => {
                self.failed_starts = 0;
                self.state = State::Ready { since: now };
                None
            }
            (Input::Hung, State::Starting { .. } | State::Ready { .. }) => Some(self.give_up_on(now)),
            (Input::Died, State::Starting { .. } | State::Ready { .. } | State::Hung { .. }) => {
                self.died(now)
            }
            (Input::Tick, State::Starting { .. }) if self.is_due(now) => Some(self.give_up_on(now)),
            (Input::Tick, State::Hung { steady, was_ready, .. }) if self.is_due(now) => {
                self.state = State::Hung { kill_at: None, steady, was_ready };
                Some(Action::Kill)
            }
            (Input::Tick, State::Backoff { .. }) if self.is_due(now) => {
                self.restarts.push_back(now);
                self.state = State::Starting { since: now };
                Some(Action::Start)
            }
            _ => None,
        }
    }

    fn is_due(&self, now: Duration) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    fn give_up_on(&mut self, now: Duration) -> Action {
        let (was_ready, steady) = self.record(now);
        self.state = State::Hung { kill_at: now.checked_add(GRACE), steady, was_ready };
        Action::Abort
    }

    /// Whether this life has been ready, and whether for a long time.
    fn record(&self, now: Duration) -> (bool, bool) {
        match self.state {
            State::Ready { since } => (true, now.saturating_sub(since) >= STEADY),
            State::Hung { steady, was_ready, .. } => (was_ready, steady),
            State::Starting { .. } | State::Backoff { .. } | State::Over => (false, false),
        }
    }

    fn died(&mut self, now: Duration) -> Option<Action> {
        let (was_ready, steady) = self.record(now);
        if steady {
            self.short_lives = 0;
        }
        if !was_ready {
            self.failed_starts += 1;
        }
        let window = self.policy.window;
        self.restarts.retain(|at| now.saturating_sub(*at) < window);
        let most = self.policy.max_restarts;
        if self.restarts.len() >= most || self.failed_starts > most {
            self.state = State::Over;
            return Some(Action::GiveUp);
        }
        self.state = State::Backoff { until: now.saturating_add(pause_after(self.short_lives)) };
        self.short_lives = self.short_lives.saturating_add(1);
        None
    }
}

/// Delay of a restart after `short_lives` short lives in a row.
fn pause_after(short_lives: u32) -> Duration {
    match short_lives {
        0 => Duration::ZERO,
        more => FIRST_PAUSE.saturating_mul(2u32.saturating_pow(more - 1)).min(LONGEST_PAUSE),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(max_restarts: usize) -> Policy {
        Policy { max_restarts, window: Duration::from_secs(60), start_limit: Duration::from_secs(10) }
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_process_that_worked_is_started_again_at_once_and_one_that_did_not_waits_longer_each_time() {
        let mut lives = Lives::new(policy(9), ms(0));
        lives.on(Input::Ready, ms(100));
        assert_eq!(lives.on(Input::Died, ms(5000)), None);
        assert_eq!(lives.due(), Some(ms(5000)));
        assert_eq!(lives.on(Input::Tick, ms(5000)), Some(Action::Start));
        let mut now = ms(5000);
        for pause in [500, 1000, 2000, 4000] {
            lives.on(Input::Died, now);
            assert_eq!(lives.due(), Some(now + ms(pause)));
            assert_eq!(lives.on(Input::Tick, now + ms(pause - 1)), None);
            now += ms(pause);
            assert_eq!(lives.on(Input::Tick, now), Some(Action::Start));
        }
        // A long life resets the delay.
        lives.on(Input::Ready, now);
        now += STEADY;
        lives.on(Input::Died, now);
        assert_eq!(lives.due(), Some(now));
        assert_eq!(pause_after(u32::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn the_budget_counts_restarts_within_the_window_only() {
        let mut lives = Lives::new(policy(2), ms(0));
        for (second, expected) in [(10, None), (20, None), (75, None), (79, Some(Action::GiveUp))] {
            lives.on(Input::Ready, ms(second * 1000 - 5000));
            assert_eq!(lives.on(Input::Died, ms(second * 1000)), expected, "{second}");
            lives.on(Input::Tick, ms(second * 1000));
        }
        assert_eq!(lives.state(), State::Over);
    }

    #[test]
    fn starts_that_fail_slowly_are_given_up_too() {
        let mut lives = Lives::new(Policy { start_limit: Duration::MAX, ..policy(2) }, ms(0));
        lives.on(Input::Ready, ms(0));
        let mut now = ms(0);
        let given_up = (0..9).position(|_| {
            now += ms(100_000);
            let action = lives.on(Input::Died, now);
            lives.on(Input::Tick, now + LONGEST_PAUSE);
            action == Some(Action::GiveUp)
        });
        assert_eq!(given_up, Some(3), "the death, and three starts that failed");
    }

    #[test]
    fn a_hung_process_is_aborted_then_killed_and_only_its_end_lets_the_next_one_start() {
        let mut lives = Lives::new(policy(5), ms(0));
        lives.on(Input::Ready, ms(0));
        assert_eq!(lives.on(Input::Hung, ms(9000)), Some(Action::Abort));
        assert_eq!(lives.on(Input::Hung, ms(9001)), None);
        assert_eq!(lives.on(Input::Tick, ms(9000) + GRACE), Some(Action::Kill));
        assert_eq!((lives.due(), lives.on(Input::Tick, ms(99_000))), (None, None));
        assert_eq!(lives.on(Input::Died, ms(100_000)), None);
        assert_eq!(lives.due(), Some(ms(100_000)), "it had worked for long");
        // A start that takes too long is handled the same way.
        assert_eq!(lives.on(Input::Tick, ms(100_000)), Some(Action::Start));
        assert_eq!(lives.on(Input::Tick, ms(109_999)), None);
        assert_eq!(lives.on(Input::Tick, ms(110_000)), Some(Action::Abort));
    }

    proptest! {
        #[test]
        fn whatever_happens_the_rules_hold(
            max_restarts in 0usize..4,
            events in prop::collection::vec((0u64..20_000, 0usize..4), 0..80),
        ) {
            let policy = policy(max_restarts);
            let mut lives = Lives::new(policy, ms(0));
            let (mut now, mut alive, mut over) = (ms(0), true, false);
            let mut starts = Vec::new();
            for (passed, kind) in events {
                let due = lives.due();
                now += ms(passed);
                let input = [Input::Ready, Input::Hung, Input::Died, Input::Tick][kind];
                if input == Input::Died && !alive {
                    continue;
                }
                let before = lives.state();
                let action = lives.on(input, now);
                match action {
                    Some(Action::Start) => {
                        prop_assert!(!alive, "the predecessor has been reaped");
                        alive = true;
                        starts.push(now);
                        let within = starts.iter().filter(|at| now - **at < policy.window).count();
                        prop_assert!(within <= max_restarts);
                    }
                    Some(Action::Abort | Action::Kill) => {
                        let hung = matches!(lives.state(), State::Hung { .. });
                        prop_assert!(alive && hung);
                    }
                    Some(Action::GiveUp) => over = true,
                    None => {}
                }
                if input == Input::Died {
                    alive = false;
                    let waits = matches!(lives.state(), State::Backoff { .. } | State::Over);
                    prop_assert!(waits);
                }
                if over {
                    prop_assert_eq!(lives.state(), State::Over);
                    prop_assert!(action.is_none() || action == Some(Action::GiveUp));
                }
                // A due action must be returned, or the process would wait forever.
                if input == Input::Tick && due.is_some_and(|due| due <= now) {
                    prop_assert!(action.is_some());
                }
                prop_assert!(action.is_some() || input != Input::Tick || lives.state() == before);
                prop_assert_eq!(matches!(lives.state(), State::Over), over);
            }
        }
    }
}
