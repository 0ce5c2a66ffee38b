//! A matcher whose next mask is computed while the model runs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::error::MatchError;
use crate::mask_pool::MaskPool;
use crate::matcher::Matcher;

/// Where the matcher currently is.
enum Place {
    /// On a thread of the pool, which computes the mask.
    Away,
    /// Returned from the pool.
    Here(Parts),
    /// Lost in a panic.
    Lost(MatchError),
}

/// The matcher with its mask, or with the reason why there is none.
struct Parts {
    matcher: Box<Matcher>,
    mask: Vec<u32>,
    outcome: Result<(), MatchError>,
}

struct Slot {
    place: Mutex<Place>,
    back: Condvar,
}

impl Slot {
    fn put(&self, place: Place) {
        *self.place.lock() = place;
        self.back.notify_all();
    }
}

/// A [`Matcher`] that starts to compute the next mask as soon as a token is accepted, on a thread of a [`MaskPool`], so
/// that the mask is usually ready when the step's logits are.
pub struct AsyncMatcher {
    pool: Arc<MaskPool>,
    slot: Arc<Slot>,
    mask: Vec<u32>,
    terminated: bool,
    accepted: usize,
}

impl std::fmt::Debug for AsyncMatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsyncMatcher")
            .field("accepted", &self.accepted)
            .field("terminated", &self.terminated)
            .finish_non_exhaustive()
    }
}

impl AsyncMatcher {
    /// Wraps `matcher` and starts to compute its mask.
    pub fn new(matcher: Matcher, pool: Arc<MaskPool>) -> Self {
        let words = matcher.grammar().environment().mask_words();
        let (terminated, accepted) = (matcher.is_terminated(), matcher.accepted());
        let slot = Arc::new(Slot { place: Mutex::new(Place::Away), back: Condvar::new() });
        let this = Self { pool, slot, mask: vec![0; words], terminated, accepted };
        this.start(Box::new(matcher), vec![0; words]);
        this
    }

    /// Sends the matcher to the pool. The caller has already set the slot to `Away`.
    fn start(&self, mut matcher: Box<Matcher>, mut mask: Vec<u32>) {
        let slot = Arc::clone(&self.slot);
        self.pool.run(Box::new(move || {
            let computed = catch_unwind(AssertUnwindSafe(|| {
                let outcome = matcher.fill_mask(&mut mask);
                Parts { matcher, mask, outcome }
            }));
            slot.put(match computed {
                Ok(parts) => Place::Here(parts),
                Err(_) => Place::Lost(MatchError::Parser("it panicked".into())),
            });
        }));
    }

    /// Waits for the matcher and takes it out, leaving the slot at `Away`.
    fn take(&self) -> Result<Parts, MatchError> {
        let mut place = self.slot.place.lock();
        loop {
            match std::mem::replace(&mut *place, Place::Away) {
                Place::Away => self.slot.back.wait(&mut place),
                Place::Here(parts) => return Ok(parts),
                Place::Lost(error) => {
                    *place = Place::Lost(error.clone());
                    return Err(error);
                }
            }
        }
    }

    /// Applies `change` to the matcher, and starts on the new mask if anything changed.
    fn change(
        &mut self,
        change: impl FnOnce(&mut Matcher) -> Result<(), MatchError>,
    ) -> Result<(), MatchError> {
        let mut parts = self.take()?;
        let changed = change(&mut parts.matcher);
        self.terminated = parts.matcher.is_terminated();
        if parts.matcher.accepted() != self.accepted {
            self.accepted = parts.matcher.accepted();
            self.start(parts.matcher, parts.mask);
        } else {
            self.slot.put(Place::Here(parts));
        }
        changed
    }

    /// Reads the sampled token and starts on the next mask.
    ///
    /// # Errors
    /// As [`Matcher::accept`].
    pub fn accept(&mut self, token: u32) -> Result<(), MatchError> {
        self.change(|matcher| matcher.accept(token))
    }

    /// Reads the output that a resumed request already has.
    ///
    /// # Errors
    /// As [`Matcher::accept`].
    pub fn replay(&mut self, output_ids: &[u32]) -> Result<(), MatchError> {
        self.change(|matcher| matcher.replay(output_ids.iter().copied()))
    }

    /// Undoes the last `count` tokens.
    ///
    /// # Errors
    /// As [`Matcher::rollback`].
    pub fn rollback(&mut self, count: usize) -> Result<(), MatchError> {
        self.change(|matcher| matcher.rollback(count))
    }

    /// The mask of the next token: [`mask_words`](crate::TokenEnvironment::mask_words) words, in which bit `id % 32` of
    /// word `id / 32` is set if `id` is allowed. Waits for the pool if the mask is not ready.
    ///
    /// # Errors
    /// If the parser failed; the request cannot continue.
    pub fn mask(&mut self) -> Result<&[u32], MatchError> {
        let parts = self.take()?;
        let outcome = parts.outcome.clone();
        if outcome.is_ok() {
            self.mask.copy_from_slice(&parts.mask);
        }
        self.slot.put(Place::Here(parts));
        outcome.map(|()| self.mask.as_slice())
    }

    /// Whether the mask is ready.
    pub fn is_ready(&self) -> bool {
        !matches!(*self.slot.place.lock(), Place::Away)
    }

    /// Whether the output has ended; see [`Matcher::is_terminated`].
    pub fn is_terminated(&self) -> bool {
        self.terminated
    }

    /// Number of tokens accepted.
    pub fn accepted(&self) -> usize {
        self.accepted
    }
}
