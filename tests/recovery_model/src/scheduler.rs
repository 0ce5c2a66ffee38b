//! The scheduler: takes requests idempotently, runs them, ends them, and applies the log of desired state in order.

use crate::faults::{Fault, Faults};
use crate::frames::{Accused, Attempt, Envelope, Mark, OPS, Output, REQUESTS, Reply, ToScheduler};

/// A request in the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Running {
    /// The request whose prompt it is.
    pub request: u8,
    /// The attempt to which its outputs belong.
    pub attempt: Attempt,
    /// Position of the next frame to send.
    pub next: u8,
    /// Whether nothing was sent under this attempt yet.
    pub first: bool,
    /// Number of operations that must be applied before it runs.
    pub needs: u8,
}

/// An effect of the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Sends to the detokenizer.
    Output(Output),
    /// Sends to the tokenizer manager.
    Reply(Reply),
    /// Reconnects to the tokenizer manager, because a new life of it said hello.
    Reconnect,
}

/// One life of the scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scheduler {
    /// Number of this life.
    pub life: u8,
    /// How often something from the tokenizer manager may have been lost; 0 before first contact.
    pub epoch: u8,
    /// Life of the tokenizer manager that it hears.
    pub tokenizer_manager: Option<u8>,
    /// Indices of the applied operations, in the order of application; 0 for none.
    pub applied: [u8; OPS],
    /// Requests by id.
    pub running: [Option<Running>; REQUESTS],
    /// The launcher's accusations when this life began.
    pub accused: Accused,
}

impl Scheduler {
    /// A new life.
    pub fn new(life: u8, accused: Accused) -> Self {
        Self {
            life,
            epoch: 0,
            tokenizer_manager: None,
            applied: [0; OPS],
            running: [None; REQUESTS],
            accused,
        }
    }

    /// Number of applied operations of the log.
    pub fn count(&self) -> u8 {
        self.applied.iter().map(|index| u8::from(*index > 0)).sum()
    }

    /// Its hello; `None` before it has heard the tokenizer manager.
    pub fn hello(&self) -> Option<Reply> {
        let hello = Reply::Hello { epoch: self.epoch, applied: self.count() };
        (self.epoch > 0).then_some(hello)
    }

    /// Whether a frame has no effect, now or later.
    pub fn ignores(&self, envelope: &Envelope<ToScheduler>, faults: Faults) -> bool {
        (envelope.mark == Mark::Repeat && !faults.has(Fault::RepeatsTaken))
            || (self.tokenizer_manager.is_some_and(|life| envelope.from < life)
                && !faults.has(Fault::OldLivesTaken))
    }

    /// Handles a frame from the tokenizer manager.
    pub fn receive(&mut self, envelope: Envelope<ToScheduler>, faults: Faults) -> Vec<Effect> {
        if self.ignores(&envelope, faults) {
            return Vec::new();
        }
        let mut effects = Vec::new();
        let met = self.tokenizer_manager.is_none();
        if self.tokenizer_manager.is_none_or(|life| life < envelope.from) {
            self.tokenizer_manager = Some(envelope.from);
            effects.push(Effect::Reconnect);
            if !faults.has(Fault::OrphansKept) {
                self.drop_requests(&mut effects);
            }
        }
        let gap = envelope.mark == Mark::AfterGap && !faults.has(Fault::GapsIgnored);
        if met || gap {
            self.epoch += 1;
            effects.extend(self.hello().map(Effect::Reply));
        }
        match envelope.frame {
            ToScheduler::Hello => {}
            ToScheduler::Control { index } => {
                self.apply(index, faults);
                effects.push(Effect::Reply(Reply::Applied { count: self.count() }));
            }
            ToScheduler::Submit { rid, request, attempt, .. }
                if self.is_poison(request) && !faults.has(Fault::PoisonRunAgain) =>
            {
                effects.push(Effect::Output(Output::End { rid, attempt, failed: true }));
            }
            ToScheduler::Submit { rid, request, attempt, accepted, needs } => {
                let slot = &mut self.running[usize::from(rid)];
                // A known request continues; it only takes the new attempt and sends again from its client's position.
                if slot.is_none_or(|known| known.attempt < attempt) {
                    let request = slot.map_or(request, |known| known.request);
                    *slot = Some(Running { request, attempt, next: accepted, first: true, needs });
                }
            }
            ToScheduler::Abort { rid, attempt } => {
                let known = self.running[usize::from(rid)].take();
                if known.is_some() || !faults.has(Fault::UnknownAbortUnanswered) {
                    effects.push(match faults.has(Fault::AbortBypassesDetokenizer) {
                        true => Effect::Reply(Reply::End { rid, attempt }),
                        false => Effect::Output(Output::End { rid, attempt, failed: false }),
                    });
                }
            }
        }
        effects
    }

    /// The requests of an earlier tokenizer manager have no clients left.
    fn drop_requests(&mut self, effects: &mut Vec<Effect>) {
        for (rid, running) in (0..).zip(&mut self.running) {
            if let Some(running) = running.take() {
                let attempt = running.attempt;
                effects.push(Effect::Output(Output::End { rid, attempt, failed: false }));
            }
        }
    }

    /// Applies the operation whose turn it is.
    fn apply(&mut self, index: u8, faults: Faults) {
        let count = self.count();
        let its_turn = match faults.has(Fault::LogReplayedBackwards) {
            true => !self.applied.contains(&index),
            false => index == count + 1,
        };
        if its_turn && let Some(free) = self.applied.get_mut(usize::from(count)) {
            *free = index;
        }
    }

    /// Whether the desired state allows the request with this id in the next step.
    pub fn may_run(&self, rid: usize, faults: Faults) -> bool {
        self.running[rid].is_some_and(|r| r.needs <= self.count() || faults.has(Fault::NeedsIgnored))
    }

    /// Whether a request has killed a scheduler in a step that it had alone.
    fn is_poison(&self, request: u8) -> bool {
        self.accused[usize::from(request)].is_some_and(|accusation| accusation.times >= 2)
    }

    /// Whether a request must not share steps: until it is past the position of its accusation.
    pub fn runs_alone(&self, running: &Running, faults: Faults) -> bool {
        let accusation = self.accused[usize::from(running.request)];
        accusation.is_some_and(|accusation| running.next <= accusation.position)
            && !faults.has(Fault::SuspectsRunTogether)
    }

    /// A step has computed one more frame of this request, which has `frames` in all.
    pub fn step(&mut self, rid: u8, frames: u8) -> Option<Output> {
        let slot = &mut self.running[usize::from(rid)];
        let running = slot.as_mut()?;
        let Running { request, attempt, next: offset, first, .. } = *running;
        let last = offset + 1 >= frames;
        running.next += 1;
        running.first = false;
        if last {
            *slot = None;
        }
        Some(Output::Frame { rid, request, attempt, offset, first, last })
    }
}
