//! Rows of KV slots, one per running request (reference: `mem_cache/memory_pool.py`, `ReqToTokenPool`).

/// For each running request, the slot of every position that is computed or in flight.
#[derive(Clone, Debug)]
pub struct ReqToTokenPool {
    rows: Vec<Vec<u32>>,
    free: Vec<u32>,
    used: Vec<bool>,
    /// Most rows that may be in use.
    limit: usize,
}

impl ReqToTokenPool {
    /// A pool of `size` rows.
    pub fn new(size: usize) -> Self {
        let free = (0..u32::try_from(size).unwrap_or(u32::MAX)).rev().collect();
        Self { rows: vec![Vec::new(); size], free, used: vec![false; size], limit: size }
    }

    /// Limits the rows in use to `limit` from now on. Rows already in use stay.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(self.rows.len());
    }

    /// Most rows that may be in use.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Number of rows that can be allocated.
    pub fn available_size(&self) -> usize {
        self.limit.saturating_sub(self.rows.len() - self.free.len())
    }

    /// Allocates an empty row; `None` if the limit is reached.
    pub fn alloc(&mut self) -> Option<u32> {
        if self.available_size() == 0 {
            return None;
        }
        let row = self.free.pop()?;
        if let Some(used) = self.used.get_mut(row as usize) {
            *used = true;
        }
        Some(row)
    }

    /// Frees a row and clears its list of slots. Ignores a row that is not in use.
    pub fn free(&mut self, row: u32) {
        if let Some(used) = self.used.get_mut(row as usize)
            && *used
        {
            *used = false;
            self.free.push(row);
            if let Some(slots) = self.rows.get_mut(row as usize) {
                slots.clear();
            }
        }
    }

    /// Slots of a row's positions.
    pub fn row(&self, row: u32) -> &[u32] {
        self.rows.get(row as usize).map_or(&[], Vec::as_slice)
    }

    /// The slots of a row, for appending; `None` if there is no such row.
    pub fn row_mut(&mut self, row: u32) -> Option<&mut Vec<u32>> {
        self.rows.get_mut(row as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_handed_out_once_until_it_is_freed() {
        let mut pool = ReqToTokenPool::new(2);
        let a = pool.alloc().unwrap();
        let b = pool.alloc().unwrap();
        assert_ne!(a, b);
        assert_eq!(pool.alloc(), None);
        pool.row_mut(a).unwrap().extend([7, 8]);
        assert_eq!(pool.row(a), [7, 8]);
        pool.free(a);
        pool.free(a);
        assert_eq!(pool.available_size(), 1);
        assert_eq!(pool.alloc(), Some(a));
        assert!(pool.row(a).is_empty(), "a fresh row lists no slots");
    }

    #[test]
    fn a_limit_holds_back_free_rows_but_keeps_rows_in_use() {
        let mut pool = ReqToTokenPool::new(3);
        let rows = [pool.alloc().unwrap(), pool.alloc().unwrap()];
        pool.set_limit(1);
        assert_eq!((pool.available_size(), pool.alloc()), (0, None));
        pool.free(rows[0]);
        assert_eq!(pool.alloc(), None);
        pool.free(rows[1]);
        assert_eq!(pool.available_size(), 1);
        pool.set_limit(9);
        assert_eq!((pool.limit(), pool.available_size()), (3, 3));
    }
}
