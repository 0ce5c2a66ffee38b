//! LoRA on the project's CPU kernels. All segments of a layer take two jobs of the thread pool, one per matrix, however
//! many adapters there are.

use std::borrow::Cow;

use sglang_kernels::{Product, ThreadPool};
use tch::Tensor;

use crate::error::{ModelError, Result};

use super::lora::{LoraPart, LoraSegment};
use super::native_matrix::native;
use super::raw::{floats, floats_mut};
use super::weight::Matrix;

/// A segment's input rows, and one of its parts with a buffer for the products.
struct Piece<'a> {
    segment: usize,
    part: &'a LoraPart,
    inner: Vec<f32>,
    outer: Vec<f32>,
}

/// See [`super::Ops::add_lora`].
pub(super) fn add_lora(
    pool: &ThreadPool,
    x: &Tensor,
    y: &mut Tensor,
    segments: &[LoraSegment<'_>],
) -> Result<()> {
    let columns = x.size2()?.1 as usize;
    let width = y.size2()?.1 as usize;
    let x = floats(x)?;
    let inputs = segments.iter().map(|s| input_rows(pool, x, columns, s)).collect::<Result<Vec<_>>>()?;
    let mut pieces = Vec::new();
    for (segment, s) in segments.iter().enumerate() {
        let rows = s.rows.indices().len();
        for part in s.parts {
            let inner = match &part.a {
                Some(a) => vec![0.0; rows * size(a)?],
                None => inputs.get(segment).map(|rows| rows.to_vec()).unwrap_or_default(),
            };
            let outer = vec![0.0; rows * size(&part.b)?];
            pieces.push(Piece { segment, part, inner, outer });
        }
    }
    let mut shrink = Vec::with_capacity(pieces.len());
    for Piece { segment, part, inner, .. } in &mut pieces {
        let Some(a) = &part.a else { continue };
        let x = inputs.get(*segment).map_or(&[][..], |rows| rows.as_ref());
        shrink.push(Product { x, parts: vec![native(a)?], bias: None, out: inner });
    }
    sglang_kernels::linear_products(pool, &mut shrink)?;
    for Piece { segment, inner, .. } in &mut pieces {
        let scaling = segments.get(*segment).map_or(1.0, |s| s.scaling) as f32;
        inner.iter_mut().for_each(|x| *x *= scaling);
    }
    let mut expand = Vec::with_capacity(pieces.len());
    for Piece { part, inner, outer, .. } in &mut pieces {
        expand.push(Product { x: inner, parts: vec![native(&part.b)?], bias: None, out: outer });
    }
    sglang_kernels::linear_products(pool, &mut expand)?;
    let y = floats_mut(y)?;
    for Piece { segment, part, outer, .. } in &pieces {
        let rows = segments.get(*segment).map_or(&[][..], |s| s.rows.indices());
        sglang_kernels::add_rows(pool, outer, rows, part.columns.clone(), y, width)?;
    }
    Ok(())
}

/// A segment's input rows, copied only if they are not contiguous.
fn input_rows<'a>(
    pool: &ThreadPool,
    x: &'a [f32],
    columns: usize,
    segment: &LoraSegment<'_>,
) -> Result<Cow<'a, [f32]>> {
    if let Some(range) = segment.rows.range() {
        let rows = x.get(range.start * columns..range.end * columns);
        return rows.map(Cow::Borrowed).ok_or_else(|| {
            let (from, to) = (range.start, range.end);
            ModelError::Kernel(format!("there are no rows {from} to {to} for an adapter"))
        });
    }
    let order = segment.rows.indices();
    let mut rows = vec![0.0; order.len() * columns];
    sglang_kernels::gather_rows(pool, x, columns, order, &mut rows)?;
    Ok(Cow::Owned(rows))
}

/// Number of rows of a matrix, i.e. of outputs per input row.
fn size(matrix: &Matrix) -> Result<usize> {
    Ok(native(matrix)?.rows())
}
