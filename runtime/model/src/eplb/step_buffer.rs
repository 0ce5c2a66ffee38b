//! A buffer for the counts of the last steps.

/// The counts of one step are `item` numbers. A buffer with a size is circular and always full, as in the reference;
/// one without a size grows.
#[derive(Debug)]
pub(super) struct StepBuffer {
    counts: Vec<i32>,
    item: usize,
    /// Index of the next step; `None` if the buffer grows.
    next: Option<usize>,
}

impl StepBuffer {
    /// A buffer for `size` steps, or for all.
    pub fn new(item: usize, size: Option<usize>) -> Self {
        let counts = vec![0; item * size.unwrap_or(0)];
        Self { counts, item, next: size.map(|_| 0) }
    }

    /// Adds a step.
    pub fn append(&mut self, step: &[i32]) {
        match &mut self.next {
            None => self.counts.extend_from_slice(step),
            Some(next) => {
                if let Some(slot) = self.counts.get_mut(*next * self.item..(*next + 1) * self.item) {
                    slot.copy_from_slice(step);
                }
                let steps = self.counts.len().checked_div(self.item).unwrap_or(0);
                *next = (*next + 1).checked_rem(steps).unwrap_or(0);
            }
        }
    }

    /// Clears all counts. A circular buffer keeps its position.
    pub fn reset(&mut self) {
        match self.next {
            None => self.counts.clear(),
            Some(_) => self.counts.fill(0),
        }
    }

    /// Number of steps in the buffer, including empty ones.
    pub fn steps(&self) -> usize {
        self.counts.len().checked_div(self.item).unwrap_or(0)
    }

    /// All counts.
    pub fn counts(&self) -> &[i32] {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circular_buffer_keeps_the_last_steps_and_its_place() {
        let mut buffer = StepBuffer::new(2, Some(2));
        for i in 1..=3 {
            buffer.append(&[i, 10 * i]);
        }
        assert_eq!((buffer.counts(), buffer.steps()), (&[3, 30, 2, 20][..], 2));
        buffer.reset();
        buffer.append(&[4, 40]);
        assert_eq!(buffer.counts(), [0, 0, 4, 40]);
    }

    #[test]
    fn a_growing_buffer_keeps_every_step() {
        let mut buffer = StepBuffer::new(1, None);
        (0..5).for_each(|i| buffer.append(&[i]));
        assert_eq!((buffer.counts(), buffer.steps()), (&[0, 1, 2, 3, 4][..], 5));
        buffer.reset();
        assert_eq!(buffer.steps(), 0);
    }
}
