//! Allocator of KV slots, in units of pages (reference: `mem_cache/allocator/paged.py`).

/// A page was freed that was not in use. It stays unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("KV page {page} was freed although it was not in use")]
pub struct InvalidFree {
    /// The page.
    pub page: u32,
}

/// Allocates KV slots. The unit of ownership is a page of `page_size` consecutive slots; a request fills its last page
/// before it gets a new one.
#[derive(Clone, Debug)]
pub struct TokenToKvPoolAllocator {
    page_size: usize,
    free_pages: Vec<u32>,
    used: Vec<bool>,
}

impl TokenToKvPoolAllocator {
    /// A pool of `size` slots (rounded down to whole pages) in pages of `page_size`, which is at least 1.
    pub fn new(size: usize, page_size: usize) -> Self {
        let page_size = page_size.max(1);
        let pages = size / page_size;
        let free_pages = (0..u32::try_from(pages).unwrap_or(u32::MAX)).rev().collect();
        Self { page_size, free_pages, used: vec![false; pages] }
    }

    /// Slots per page.
    pub fn page_size(&self) -> usize {
        self.page_size
    }

    /// Number of slots.
    pub fn size(&self) -> usize {
        self.used.len() * self.page_size
    }

    /// Number of free slots, in whole pages.
    pub fn available_size(&self) -> usize {
        self.free_pages.len() * self.page_size
    }

    /// Number of slots in new pages that a row of length `row_len` needs to grow by `n`.
    pub fn new_page_tokens(&self, row_len: usize, n: usize) -> usize {
        ((row_len + n).div_ceil(self.page_size) - row_len.div_ceil(self.page_size)) * self.page_size
    }

    /// Grows `row` by `n` slots: first the rest of its last page, then new pages. Returns `false` and changes nothing
    /// if there are not enough free pages.
    pub fn extend(&mut self, row: &mut Vec<u32>, n: usize) -> bool {
        let page_size = self.page_size as u32;
        let pages = self.new_page_tokens(row.len(), n) / self.page_size;
        if pages > self.free_pages.len() {
            return false;
        }
        row.reserve(n);
        let mut left = n;
        if let Some(last) = row.last().copied() {
            let mut next = last + 1;
            while left > 0 && next % page_size != 0 {
                row.push(next);
                next += 1;
                left -= 1;
            }
        }
        while left > 0 {
            let Some(page) = self.free_pages.pop() else { return false };
            if let Some(used) = self.used.get_mut(page as usize) {
                *used = true;
            }
            let first = page * page_size;
            let take = left.min(self.page_size);
            row.extend(first..first + take as u32);
            left -= take;
        }
        true
    }

    /// Frees the pages of `slots`, which starts at a page boundary and lists the slots of each page in order (the last
    /// page may be incomplete).
    ///
    /// # Errors
    /// A page was not in use. The other pages are freed nevertheless.
    pub fn free(&mut self, slots: &[u32]) -> Result<(), InvalidFree> {
        let mut result = Ok(());
        for first in slots.iter().step_by(self.page_size) {
            let page = first / self.page_size as u32;
            match self.used.get_mut(page as usize) {
                Some(used) if *used => {
                    *used = false;
                    self.free_pages.push(page);
                }
                _ => result = Err(InvalidFree { page }),
            }
        }
        result
    }

    /// Whether a page is in use.
    pub fn is_used(&self, page: u32) -> bool {
        self.used.get(page as usize).copied().unwrap_or(false)
    }

    /// Number of pages.
    pub fn num_pages(&self) -> usize {
        self.used.len()
    }

    /// Frees all pages.
    pub fn clear(&mut self) {
        *self = Self::new(self.size(), self.page_size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_fills_the_last_page_before_it_takes_a_new_one() {
        let mut pool = TokenToKvPoolAllocator::new(16, 4);
        let mut row = Vec::new();
        assert!(pool.extend(&mut row, 5));
        assert_eq!(pool.available_size(), 8);
        assert_eq!(pool.new_page_tokens(row.len(), 3), 0);
        assert!(pool.extend(&mut row, 3));
        assert_eq!(pool.available_size(), 8);
        assert_eq!(row[5], row[4] + 1);
        assert!(pool.extend(&mut row, 1));
        assert_eq!(pool.available_size(), 4);
        assert_eq!(row[8] % 4, 0);
    }

    #[test]
    fn a_request_that_does_not_fit_takes_nothing() {
        let mut pool = TokenToKvPoolAllocator::new(8, 4);
        let mut row = Vec::new();
        assert!(!pool.extend(&mut row, 9));
        assert!(row.is_empty());
        assert_eq!(pool.available_size(), 8);
    }

    #[test]
    fn freed_pages_come_back_once() {
        let mut pool = TokenToKvPoolAllocator::new(8, 4);
        let mut row = Vec::new();
        assert!(pool.extend(&mut row, 6));
        pool.free(&row).unwrap();
        assert_eq!(pool.available_size(), 8);
        let page = row[0] / 4;
        assert_eq!(pool.free(&row[..4]), Err(InvalidFree { page }));
        assert_eq!(pool.available_size(), 8, "a double free changes nothing");
    }
}
