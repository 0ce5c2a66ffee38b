//! What clients see, and whether they may see it.

use crate::frames::{Ending, Piece};
use crate::promise::Property;

/// The client of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Client {
    /// It has brought its request.
    pub came: bool,
    /// It wants its request ended.
    pub aborts: bool,
    /// Frames that it has.
    pub shown: u8,
    /// How its request ended.
    pub ended: Option<Ending>,
}

impl Client {
    /// The request is on its way.
    pub fn is_waiting(&self) -> bool {
        self.came && self.ended.is_none()
    }

    /// Text comes in.
    ///
    /// # Errors
    /// It is doubled, foreign, torn, or there is a hole before it; or the request has ended.
    pub fn show(&mut self, own: u8, piece: Piece) -> Result<(), Property> {
        if self.ended.is_some() || piece.request != own || piece.position != self.shown || !piece.whole {
            return Err(Property::TextIsOneSequence);
        }
        self.shown += 1;
        Ok(())
    }

    /// The request has ended; it has `frames` in all, and `poison` tells whether it kills schedulers.
    ///
    /// # Errors
    /// It had ended before, or this end has no cause.
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
