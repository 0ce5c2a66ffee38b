//! A link: first in, first out, until something is lost. That frames of different links overtake each other comes from
//! delivering them in any order.

use crate::frames::{Envelope, Mark};

/// Frames between one sender and one receiver.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Link<F> {
    /// The receiver has been replaced and the sender has not noticed: what it sends is lost.
    pub stale: bool,
    /// On the way, oldest first.
    pub frames: Vec<Envelope<F>>,
}

impl<F: Copy> Link<F> {
    /// Nothing on the way.
    pub fn new() -> Self {
        Self { stale: false, frames: Vec::new() }
    }

    /// Sends in order.
    pub fn send(&mut self, from: u8, frame: F) {
        self.put(Envelope { from, mark: Mark::InOrder, frame });
    }

    fn put(&mut self, envelope: Envelope<F>) {
        if !self.stale {
            self.frames.push(envelope);
        }
    }

    /// The receiver has died: what was on the way is lost.
    pub fn lose_receiver(&mut self) {
        self.frames.clear();
        self.stale = true;
    }

    /// The sender has died: of what was on the way the first `kept` frames still arrive. The next life's connection is
    /// a new one.
    pub fn lose_sender(&mut self, kept: usize) {
        self.frames.truncate(kept);
        self.stale = false;
    }

    /// The sender connects again and says `hello`: all but the first `kept` frames are lost.
    pub fn reconnect(&mut self, kept: usize, from: u8, hello: Option<F>) {
        self.frames.truncate(kept);
        self.stale = false;
        if let Some(frame) = hello {
            self.put(Envelope { from, mark: Mark::AfterGap, frame });
        }
    }

    /// Doubles the oldest frame.
    pub fn repeat(&mut self) {
        if let Some(first) = self.frames.first().copied() {
            self.frames.insert(1, Envelope { mark: Mark::Repeat, ..first });
        }
    }

    /// Whether nothing is on the way and nothing will be lost.
    pub fn is_quiet(&self) -> bool {
        !self.stale && self.frames.is_empty()
    }

    /// Takes the oldest frame.
    pub fn take(&mut self) -> Option<Envelope<F>> {
        (!self.frames.is_empty()).then(|| self.frames.remove(0))
    }
}

impl<F: Copy> Default for Link<F> {
    fn default() -> Self {
        Self::new()
    }
}
