//! A link delivers frames in order until something is lost. Frames of different links can overtake each other, because
//! links are served in any order.

use crate::frames::{Envelope, Mark};

/// Frames between one sender and one receiver.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Link<F> {
    /// The receiver was replaced but the sender has not noticed: what it sends is lost.
    pub stale: bool,
    /// Frames in transit, oldest first.
    pub frames: Vec<Envelope<F>>,
}

impl<F: Copy> Link<F> {
    /// An empty link.
    pub fn new() -> Self {
        Self { stale: false, frames: Vec::new() }
    }

    /// Appends a frame.
    pub fn send(&mut self, from: u8, frame: F) {
        self.put(Envelope { from, mark: Mark::InOrder, frame });
    }

    fn put(&mut self, envelope: Envelope<F>) {
        if !self.stale {
            self.frames.push(envelope);
        }
    }

    /// The receiver has died: frames in transit are lost.
    pub fn lose_receiver(&mut self) {
        self.frames.clear();
        self.stale = true;
    }

    /// The sender has died: the first `kept` frames in transit still arrive. Its next life uses a new connection.
    pub fn lose_sender(&mut self, kept: usize) {
        self.frames.truncate(kept);
        self.stale = false;
    }

    /// The sender reconnects and says `hello`: all frames after the first `kept` are lost.
    pub fn reconnect(&mut self, kept: usize, from: u8, hello: Option<F>) {
        self.frames.truncate(kept);
        self.stale = false;
        if let Some(frame) = hello {
            self.put(Envelope { from, mark: Mark::AfterGap, frame });
        }
    }

    /// Duplicates the oldest frame.
    pub fn repeat(&mut self) {
        if let Some(first) = self.frames.first().copied() {
            self.frames.insert(1, Envelope { mark: Mark::Repeat, ..first });
        }
    }

    /// Whether nothing is in transit and nothing will be lost.
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
