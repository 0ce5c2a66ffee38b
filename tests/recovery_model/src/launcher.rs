//! What the launcher keeps for processes that may die: their lives, the log of desired state, and accusations.

use crate::frames::{Accusation, Accused, REQUESTS};

/// The launcher's memory, which outlives every role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Launcher {
    /// Number of operations in the log of desired state.
    pub kept: u8,
    /// The accused requests: those in the step in which a scheduler died, read from the black box that it left.
    pub accused: Accused,
}

impl Launcher {
    /// A scheduler caused its own death, and its black box names these requests with their positions.
    pub fn accuse(&mut self, black_box: [Option<u8>; REQUESTS]) {
        for (accused, position) in self.accused.iter_mut().zip(black_box) {
            let Some(position) = position else { continue };
            // A request that got past the position of its accusation is innocent of that death.
            let times = accused.filter(|a| a.position == position).map_or(0, |a| a.times);
            *accused = Some(Accusation { position, times: times + 1 });
        }
    }
}
