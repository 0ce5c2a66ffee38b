//! What clients see, and the checks of it.

use crate::frames::{Ending, Piece};
use crate::promise::Property;

/// The client of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Client {
    /// It has sent its request.
    pub came: bool,
    /// It has aborted its request.
    pub aborts: bool,
    /// Number of frames that it has received.
    pub shown: u8,
    /// How its request ended, if it has.
    pub ended: Option<Ending>,
}

impl Client {
    /// Whether the request is in progress.
    pub fn is_waiting(&self) -> bool {
        self.came && self.ended.is_none()
    }

    /// Receives text.
    ///
    /// # Errors
    /// If the text is duplicated, belongs to another request, is decoded from the wrong context or follows a gap, or if
    /// the request has already ended.
    pub fn show(&mut self, own: u8, piece: Piece) -> Result<(), Property> {
        if self.ended.is_some() || piece.request != own || piece.position != self.shown || !piece.whole {
            return Err(Property::TextIsOneSequence);
        }
        self.shown += 1;
        Ok(())
    }

    /// Receives the end of the request, which has `frames` in all; `poison`: it kills schedulers.
    ///
    /// # Errors
    /// If it had already ended, or this end has no cause.
    pub fn end(&mut self, ending: Ending, frames: u8, poison: bool) -> Result<(), Property> {
        if self.ended.is_some() {
            return Err(Property::EndsOnce);
        }
        self.ended = Some(ending);
        match ending {
            Ending::Finished if self.shown != frames => Err(Property::TextIsOneSequence),
            Ending::Aborted if !self.aborts => Err(Property::EndsOnce),
            Ending::Failed if !poison => Err(Property::InnocentsComplete),
            _ => Ok(()),
        }
    }
}
