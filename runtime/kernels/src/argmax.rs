//! The largest number of a row.

use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Result of [`argmax`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Argmax {
    /// Index of the largest number; of equal ones, the first. NaN counts as smaller than any number.
    pub index: usize,
    /// The largest number.
    pub value: f32,
    /// Whether the row holds a NaN.
    pub has_nan: bool,
}

/// Finds the largest number of `row`; `None` for an empty row. If the row holds only NaN and `-inf`, the index is that
/// of the first `-inf`, or 0 if there is none.
pub fn argmax(row: &[f32]) -> Option<Argmax> {
    if row.is_empty() {
        return None;
    }
    let (value, has_nan) = dispatch(Isa::best(), Largest(row));
    Some(Argmax { index: row.iter().position(|&x| x == value).unwrap_or(0), value, has_nan })
}

struct Largest<'a>(&'a [f32]);

impl Kernel for Largest<'_> {
    type Output = (f32, bool);

    /// Plain Rust over lanes: the compiler turns it into vector code for each instruction set.
    #[inline(always)]
    fn run<S: Simd>(self, _s: S) -> (f32, bool) {
        let mut best = [f32::NEG_INFINITY; 32];
        let mut nan = [false; 32];
        let (chunks, rest) = self.0.as_chunks::<32>();
        for chunk in chunks {
            for ((best, nan), &x) in best.iter_mut().zip(&mut nan).zip(chunk) {
                *best = if x > *best { x } else { *best };
                *nan |= x.is_nan();
            }
        }
        let mut value = f32::NEG_INFINITY;
        for &x in best.iter().chain(rest) {
            value = if x > value { x } else { value };
        }
        (value, nan.contains(&true) || rest.iter().any(|x| x.is_nan()))
    }
}
