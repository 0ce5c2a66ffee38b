//! Scratch memory of a thread, kept between kernels.

use std::cell::RefCell;

/// A cache line of floats.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([f32; 16]);

thread_local! {
    static SPARE: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Aligned floats with unspecified contents. Dropping returns the memory to its thread for reuse.
pub(crate) struct Scratch(Vec<Line>);

impl Scratch {
    /// At least `len` floats.
    pub(crate) fn take(len: usize) -> Self {
        let mut lines = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        let need = len.div_ceil(16);
        if lines.len() < need {
            lines.resize(need, Line([0.0; 16]));
        }
        Self(lines)
    }

    /// The first float. At least the requested number follow.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut f32 {
        self.0.as_mut_ptr().cast()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.0);
        // While a thread ends its storage may be gone; then the memory is just freed.
        let _ = SPARE.try_with(|spare| {
            if let Ok(mut spare) = spare.try_borrow_mut() {
                spare.push(lines);
            }
        });
    }
}
