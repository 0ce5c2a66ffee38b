//! What the launcher keeps for processes that die: their numbers, the log of desired state, and who is accused.

use crate::frames::{Accusation, Accused, REQUESTS};

/// The launcher's memory. It outlives every role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Launcher {
    /// Operations in the log of desired state.
    pub kept: u8,
    /// Requests that were in the step in which a scheduler died, read from the black box that it leaves.
    pub accused: Accused,
}

impl Launcher {
    /// A scheduler has died by its own doing, and its black box names these requests with their positions.
    pub fn accuse(&mut self, black_box: [Option<u8>; REQUESTS]) {
        for (accused, position) in self.accused.iter_mut().zip(black_box) {
            let Some(position) = position else { continue };
            // One that came past the place where it was accused is innocent of that death.
            let times = accused.filter(|a| a.position == position).map_or(0, |a| a.times);
            *accused = Some(Accusation { position, times: times + 1 });
        }
    }
}
