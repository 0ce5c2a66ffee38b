//! Dividing row-wise work among the threads of a pool.

use std::sync::{Mutex, PoisonError};

use crate::error::Result;
use crate::pool::ThreadPool;

/// Number of elements up to which waking another thread costs more than it saves.
const SMALL: usize = 32 * 1024;

/// Rows per part: all rows if there is little work, otherwise as many as give each thread a few parts.
pub(crate) fn rows_per_part(pool: &ThreadPool, rows: usize, cols: usize) -> usize {
    if rows.saturating_mul(cols) <= SMALL {
        return rows.max(1);
    }
    rows.div_ceil(pool.threads() * 4).max(1)
}

/// Runs `work` once for every part, on any thread.
pub(crate) fn for_parts<T: Send>(pool: &ThreadPool, parts: Vec<T>, work: &(dyn Fn(T) + Sync)) -> Result<()> {
    let parts: Vec<Mutex<Option<T>>> = parts.into_iter().map(|p| Mutex::new(Some(p))).collect();
    pool.run(parts.len(), &|i| {
        let part = parts.get(i).and_then(|p| p.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(part) = part {
            work(part);
        }
    })
}
