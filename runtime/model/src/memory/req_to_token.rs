//! The worker's copy of the mapping from (request row, position) to KV slot.

/// Slots of every running request, by pool row and position.
#[derive(Debug, Default)]
pub struct ReqToTokenPool {
    rows: Vec<Vec<u32>>,
}

impl ReqToTokenPool {
    /// A table with `size` empty rows.
    pub fn new(size: usize) -> Self {
        Self { rows: vec![Vec::new(); size] }
    }

    /// Number of rows.
    pub fn size(&self) -> usize {
        self.rows.len()
    }

    /// Slots of positions `0..` of a row; empty for a row that does not exist.
    pub fn slots(&self, row: u32) -> &[u32] {
        self.rows.get(row as usize).map_or(&[], Vec::as_slice)
    }

    /// Replaces a row by the slots of a cached prefix. The row must exist.
    pub fn assign(&mut self, row: u32, prefix_slots: &[u32]) {
        if let Some(slots) = self.rows.get_mut(row as usize) {
            slots.clear();
            slots.extend_from_slice(prefix_slots);
        }
    }

    /// Appends `new_slots` after the first `prefix_len` positions of a row. Removes later positions, which a failed
    /// step may have left.
    pub fn extend(&mut self, row: u32, prefix_len: usize, new_slots: &[u32]) {
        if let Some(slots) = self.rows.get_mut(row as usize) {
            slots.truncate(prefix_len);
            slots.extend_from_slice(new_slots);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_replaced_on_entry_and_grows_after_its_prefix() {
        let mut pool = ReqToTokenPool::new(2);
        pool.assign(1, &[7, 8]);
        pool.extend(1, 2, &[3, 4]);
        assert_eq!(pool.slots(1), [7, 8, 3, 4]);
        pool.extend(1, 3, &[9]);
        assert_eq!(pool.slots(1), [7, 8, 3, 9]);
        pool.assign(1, &[]);
        assert!(pool.slots(1).is_empty() && pool.slots(0).is_empty() && pool.slots(5).is_empty());
    }
}
