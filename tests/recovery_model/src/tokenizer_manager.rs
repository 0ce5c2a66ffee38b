//! The tokenizer manager: the ledger of requests, the log of desired state, and the recovery rule.

use crate::faults::{Fault, Faults};
use crate::frames::{Attempt, Ending, Envelope, Mark, Piece, REQUESTS, Reply, Text, ToScheduler};

/// What it knows about a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Its life.
    pub life: u8,
    /// How often something may have been lost in that life.
    pub epoch: u8,
}

/// A request in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The request.
    pub request: u8,
    /// The current attempt; 0 if it was never sent.
    pub attempt: u8,
    /// Number of frames that its client has.
    pub accepted: u8,
    /// Whether it is being aborted.
    pub aborting: bool,
}

/// An effect of the tokenizer manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Sends to the scheduler.
    Send(ToScheduler),
    /// Shows text to the client of a request.
    Show {
        /// Whose client.
        request: u8,
        /// The text.
        piece: Piece,
    },
    /// Tells the client of a request that it has ended.
    End {
        /// Whose client.
        request: u8,
        /// How.
        ending: Ending,
    },
    /// Asks the launcher to keep the log of desired state up to this length.
    Keep(u8),
    /// Answers the clients of control operations up to this index of the log.
    Answer(u8),
}

/// One life of the tokenizer manager.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenizerManager {
    /// Number of this life.
    pub life: u8,
    /// The scheduler, once it has said hello.
    pub scheduler: Option<Peer>,
    /// The detokenizer, once it has said hello.
    pub detokenizer: Option<Peer>,
    /// Length of the log of desired state.
    pub desired: u8,
    /// Number of operations that this scheduler has applied.
    pub confirmed: u8,
    /// Attempts issued, by id. (One counter for all would do as well; this keeps requests independent in the model.)
    pub issued: [u8; REQUESTS],
    /// The ledger by id.
    pub entries: [Option<Entry>; REQUESTS],
}

impl TokenizerManager {
    /// A new life, with the log that the launcher kept.
    pub fn new(life: u8, kept: u8) -> Self {
        Self {
            life,
            scheduler: None,
            detokenizer: None,
            desired: kept,
            confirmed: 0,
            issued: [0; REQUESTS],
            entries: [None; REQUESTS],
        }
    }

    /// Its hello.
    pub fn hello(&self) -> ToScheduler {
        ToScheduler::Hello
    }

    fn path_is_known(&self) -> bool {
        self.scheduler.is_some() && self.detokenizer.is_some()
    }

    /// A client sends a request whose id is not in the ledger.
    pub fn submit(&mut self, rid: u8, request: u8, faults: Faults) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.entries[usize::from(rid)] = Some(Entry { request, attempt: 0, accepted: 0, aborting: false });
        if self.path_is_known() {
            self.send(rid, faults, &mut effects);
        }
        effects
    }

    /// A client aborts its request.
    pub fn abort(&mut self, rid: u8) -> Vec<Effect> {
        let slot = &mut self.entries[usize::from(rid)];
        let Some(entry) = slot else { return Vec::new() };
        if entry.attempt == 0 {
            // It was never sent.
            let effect = Effect::End { request: entry.request, ending: Ending::Aborted };
            *slot = None;
            return vec![effect];
        }
        entry.aborting = true;
        let attempt = Attempt { life: self.life, number: entry.attempt };
        vec![Effect::Send(ToScheduler::Abort { rid, attempt })]
    }

    /// A client sends a control operation. The launcher gets it before the scheduler does.
    pub fn control(&mut self, faults: Faults) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.desired += 1;
        if !faults.has(Fault::KeptAfterApplied) {
            effects.push(Effect::Keep(self.desired));
        }
        if self.path_is_known() {
            effects.push(Effect::Send(ToScheduler::Control { index: self.desired }));
        }
        if faults.has(Fault::AnswerBeforeApplied) {
            effects.push(Effect::Answer(self.desired));
        }
        effects
    }

    /// The recovery rule. Something may be lost, so everything is sent again: the log from the scheduler's position,
    /// then every request under a new attempt.
    fn recover(&mut self, faults: Faults, effects: &mut Vec<Effect>) {
        if !self.path_is_known() {
            return;
        }
        let missing = self.confirmed + 1..=self.desired;
        let control = |index| Effect::Send(ToScheduler::Control { index });
        match faults.has(Fault::LogReplayedBackwards) {
            _ if faults.has(Fault::LogNotReplayed) => {}
            true => effects.extend(missing.rev().map(control)),
            false => effects.extend(missing.map(control)),
        }
        for rid in 0..REQUESTS as u8 {
            self.send(rid, faults, effects);
        }
    }

    /// Sends one request under a new attempt: as a submission, or as an abort if it is being aborted.
    fn send(&mut self, rid: u8, faults: Faults, effects: &mut Vec<Effect>) {
        let index = usize::from(rid);
        let Some(entry) = &mut self.entries[index] else { return };
        let again = entry.attempt > 0;
        self.issued[index] += 1;
        entry.attempt = self.issued[index];
        let attempt = Attempt { life: self.life, number: entry.attempt };
        if entry.aborting && !faults.has(Fault::AbortedSubmittedAgain) {
            effects.push(Effect::Send(ToScheduler::Abort { rid, attempt }));
            return;
        }
        let accepted = match again {
            true if faults.has(Fault::ResumeTooFar) => entry.accepted + 1,
            true if faults.has(Fault::ResumeTooEarly) => entry.accepted.saturating_sub(1),
            _ => entry.accepted,
        };
        let request = entry.request;
        let needs = self.desired;
        effects.push(Effect::Send(ToScheduler::Submit { rid, request, attempt, accepted, needs }));
    }

    /// Whether a frame from the detokenizer has no effect, now or later.
    pub fn ignores_text(&self, envelope: &Envelope<Text>, faults: Faults) -> bool {
        if skipped(envelope, self.detokenizer, faults) {
            return true;
        }
        match envelope.frame {
            Text::Hello { epoch } => {
                let gap = envelope.mark == Mark::AfterGap && !faults.has(Fault::GapsIgnored);
                !gap && self.detokenizer == Some(Peer { life: envelope.from, epoch })
            }
            Text::Frame { rid, attempt, .. } | Text::End { rid, attempt, .. } => {
                !self.is_current(rid, attempt) && !faults.has(Fault::AttemptsIgnored)
            }
        }
    }

    fn is_current(&self, rid: u8, attempt: Attempt) -> bool {
        self.entries[usize::from(rid)]
            .is_some_and(|entry| attempt == Attempt { life: self.life, number: entry.attempt })
    }

    /// Handles a frame from the detokenizer.
    pub fn receive_text(&mut self, envelope: Envelope<Text>, faults: Faults) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.ignores_text(&envelope, faults) {
            return effects;
        }
        match envelope.frame {
            Text::Hello { epoch } => {
                let met = self.detokenizer.is_none();
                self.detokenizer = Some(Peer { life: envelope.from, epoch });
                if met || !faults.has(Fault::DetokenizerIgnored) {
                    self.recover(faults, &mut effects);
                }
            }
            Text::Frame { rid, offset, piece, last, .. } => {
                let slot = &mut self.entries[usize::from(rid)];
                let Some(entry) = slot else { return effects };
                if offset != entry.accepted && !faults.has(Fault::OffsetsIgnored) {
                    self.send(rid, faults, &mut effects);
                    return effects;
                }
                let request = entry.request;
                entry.accepted = offset + 1;
                effects.push(Effect::Show { request, piece });
                if last {
                    *slot = None;
                    effects.push(Effect::End { request, ending: Ending::Finished });
                }
            }
            Text::End { rid, failed, .. } => self.end(rid, failed, &mut effects),
        }
        effects
    }

    /// The scheduler has ended a request without output.
    fn end(&mut self, rid: u8, failed: bool, effects: &mut Vec<Effect>) {
        if let Some(entry) = self.entries[usize::from(rid)].take() {
            let ending = if failed { Ending::Failed } else { Ending::Aborted };
            effects.push(Effect::End { request: entry.request, ending });
        }
    }

    /// Whether a frame from the scheduler has no effect, now or later.
    pub fn ignores_reply(&self, envelope: &Envelope<Reply>, faults: Faults) -> bool {
        if skipped(envelope, self.scheduler, faults) {
            return true;
        }
        match envelope.frame {
            Reply::Hello { epoch, applied } => {
                let gap = envelope.mark == Mark::AfterGap && !faults.has(Fault::GapsIgnored);
                let known = self.scheduler == Some(Peer { life: envelope.from, epoch });
                !gap && known && applied <= self.confirmed
            }
            Reply::Applied { count } => count <= self.confirmed,
            Reply::End { .. } => false,
        }
    }

    /// Handles a frame that the scheduler sends directly.
    pub fn receive_reply(&mut self, envelope: Envelope<Reply>, faults: Faults) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.ignores_reply(&envelope, faults) {
            return effects;
        }
        match envelope.frame {
            Reply::Hello { epoch, applied } => {
                let known = self.scheduler;
                let peer = Peer { life: envelope.from, epoch };
                self.scheduler = Some(peer);
                self.confirm(applied, faults, &mut effects);
                if known.is_some_and(|known| known.life != peer.life) && faults.has(Fault::AbortsEndLocally) {
                    self.end_aborted(&mut effects);
                }
                let gap = envelope.mark == Mark::AfterGap && !faults.has(Fault::GapsIgnored);
                let ignored = known.is_some() && faults.has(Fault::SchedulerIgnored);
                if (gap || known != Some(peer)) && !ignored {
                    self.recover(faults, &mut effects);
                }
            }
            Reply::Applied { count } => self.confirm(count, faults, &mut effects),
            Reply::End { rid, attempt } if self.is_current(rid, attempt) => {
                self.end(rid, false, &mut effects);
            }
            Reply::End { .. } => {}
        }
        effects
    }

    fn confirm(&mut self, count: u8, faults: Faults, effects: &mut Vec<Effect>) {
        self.confirmed = count;
        effects.push(Effect::Answer(count));
        if faults.has(Fault::KeptAfterApplied) {
            effects.push(Effect::Keep(count));
        }
    }

    /// A planted fault: aborted requests are assumed to have ended.
    fn end_aborted(&mut self, effects: &mut Vec<Effect>) {
        for rid in 0..REQUESTS {
            if self.entries[rid].is_some_and(|entry| entry.aborting) {
                self.end(rid as u8, false, effects);
            }
        }
    }
}

/// Whether the link layer drops a frame whose receiver knows `peer` as the sender.
fn skipped<F>(envelope: &Envelope<F>, peer: Option<Peer>, faults: Faults) -> bool {
    (envelope.mark == Mark::Repeat && !faults.has(Fault::RepeatsTaken))
        || (peer.is_some_and(|peer| envelope.from < peer.life) && !faults.has(Fault::OldLivesTaken))
}
