//! The detokenizer: turns ids into text, with a decoder per attempt, and forwards every end.

use crate::faults::{Fault, Faults};
use crate::frames::{Attempt, Envelope, Mark, Output, Piece, REQUESTS, Text};

/// A decoder and its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decoder {
    /// The request whose output it decodes.
    pub request: u8,
    /// The attempt for which it was started.
    pub attempt: Attempt,
    /// Position of the next expected id.
    pub next: u8,
}

/// One life of the detokenizer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Detokenizer {
    /// Number of this life.
    pub life: u8,
    /// How often something from the scheduler may have been lost; 0 before first contact.
    pub epoch: u8,
    /// Life of the scheduler that it hears.
    pub scheduler: Option<u8>,
    /// Decoders by id.
    pub decoders: [Option<Decoder>; REQUESTS],
}

impl Detokenizer {
    /// A new life.
    pub fn new(life: u8, faults: Faults) -> Self {
        Self {
            life,
            epoch: u8::from(faults.has(Fault::HelloTooSoon)),
            scheduler: None,
            decoders: [None; REQUESTS],
        }
    }

    /// Its hello; `None` before it has heard the scheduler.
    pub fn hello(&self) -> Option<Text> {
        (self.epoch > 0).then_some(Text::Hello { epoch: self.epoch })
    }

    /// Whether a frame has no effect, now or later.
    pub fn ignores(&self, envelope: &Envelope<Output>, faults: Faults) -> bool {
        if envelope.mark == Mark::Repeat && !faults.has(Fault::RepeatsTaken) {
            return true;
        }
        if self.scheduler.is_some_and(|life| envelope.from < life) && !faults.has(Fault::OldLivesTaken) {
            return true;
        }
        match envelope.frame {
            Output::Hello | Output::End { .. } => false,
            Output::Frame { rid, attempt, offset, first, .. } => match &self.decoders[usize::from(rid)] {
                _ if faults.has(Fault::DecodersByIdAlone) => false,
                Some(known) if known.attempt == attempt => known.next != offset,
                Some(known) if known.attempt > attempt => true,
                _ => !first,
            },
        }
    }

    /// Handles a frame from the scheduler.
    pub fn receive(&mut self, envelope: Envelope<Output>, faults: Faults) -> Vec<Text> {
        if self.ignores(&envelope, faults) {
            return Vec::new();
        }
        let mut said = Vec::new();
        let met = self.scheduler.is_none();
        if self.scheduler.is_none_or(|life| life < envelope.from) {
            // Frames of an earlier scheduler are dropped; their requests are submitted again under new attempts.
            self.scheduler = Some(envelope.from);
            self.decoders = [None; REQUESTS];
        }
        let gap = envelope.mark == Mark::AfterGap && !faults.has(Fault::GapsIgnored);
        let report = if faults.has(Fault::HelloTooSoon) { gap && !met } else { met || gap };
        if report {
            self.decoders = [None; REQUESTS];
            self.epoch += 1;
            said.extend(self.hello());
        }
        match envelope.frame {
            Output::Hello => {}
            Output::Frame { rid, request, attempt, offset, last, .. } => {
                let slot = &mut self.decoders[usize::from(rid)];
                let fresh = Decoder { request, attempt, next: offset };
                let mut decoder = match *slot {
                    Some(known) if known.attempt == attempt || faults.has(Fault::DecodersByIdAlone) => known,
                    _ => fresh,
                };
                let whole = decoder.request == request && decoder.next == offset;
                decoder.next = offset + 1;
                *slot = (!last).then_some(decoder);
                let piece = Piece { request, position: offset, whole };
                said.push(Text::Frame { rid, attempt, offset, piece, last });
            }
            Output::End { rid, attempt, failed } => {
                let slot = &mut self.decoders[usize::from(rid)];
                *slot = slot.filter(|decoder| decoder.attempt > attempt);
                said.push(Text::End { rid, attempt, failed });
            }
        }
        said
    }
}
