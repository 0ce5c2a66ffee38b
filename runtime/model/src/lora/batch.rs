//! Groups the rows of a step by adapter.

use std::ops::Range;

use tch::Tensor;

use crate::error::Result;
use crate::ops::{ForwardContext, LoraRows, LoraSegment, Ops, StepAdapters};
use crate::plan::ForwardPlan;

use super::LoraAdapter;

/// The adapters of a step, each with its rows. Requests with the same adapter are computed together, wherever they are
/// in the batch.
#[derive(Debug)]
pub struct LoraBatch<'a> {
    groups: Vec<(&'a LoraAdapter, LoraRows)>,
}

impl<'a> LoraBatch<'a> {
    /// The groups of a step; `None` if no request has an adapter. `adapter` returns the adapter of a pool row and its
    /// unique id.
    pub(crate) fn of_step<Id: PartialEq>(
        plan: &ForwardPlan,
        adapter: impl Fn(u32) -> Option<(Id, &'a LoraAdapter)>,
    ) -> Option<Self> {
        let spans = plan
            .seqs
            .iter()
            .map(|seq| (seq.row, seq.first_token as u32..(seq.first_token + seq.extend_len) as u32));
        Self::of_spans(spans, adapter)
    }

    /// The groups for a subset of a step's rows (ascending), which have been gathered into a smaller matrix.
    pub(crate) fn of_rows<Id: PartialEq>(
        plan: &ForwardPlan,
        rows: &[usize],
        adapter: impl Fn(u32) -> Option<(Id, &'a LoraAdapter)>,
    ) -> Option<Self> {
        let spans = rows.iter().enumerate().filter_map(|(i, row)| {
            let after = plan.seqs.partition_point(|seq| seq.first_token <= *row);
            let seq = plan.seqs.get(after.checked_sub(1)?)?;
            Some((seq.row, i as u32..i as u32 + 1))
        });
        Self::of_spans(spans, adapter)
    }

    /// Builds groups from pool rows and their ranges of rows.
    fn of_spans<Id: PartialEq>(
        spans: impl Iterator<Item = (u32, Range<u32>)>,
        adapter: impl Fn(u32) -> Option<(Id, &'a LoraAdapter)>,
    ) -> Option<Self> {
        let mut groups: Vec<(Id, &LoraAdapter, Vec<u32>)> = Vec::new();
        for (row, rows) in spans {
            let Some((id, adapter)) = adapter(row) else { continue };
            match groups.iter_mut().find(|(known, ..)| *known == id) {
                Some((_, _, all)) => all.extend(rows),
                None => groups.push((id, adapter, rows.collect())),
            }
        }
        let groups: Vec<_> =
            groups.into_iter().map(|(_, adapter, rows)| (adapter, LoraRows::new(rows))).collect();
        (!groups.is_empty()).then_some(Self { groups })
    }
}

impl StepAdapters for LoraBatch<'_> {
    fn add(&self, ops: &dyn Ops, site: usize, x: &Tensor, y: &mut Tensor) -> Result<()> {
        let segments: Vec<LoraSegment<'_>> = self
            .groups
            .iter()
            .map(|(adapter, rows)| LoraSegment { rows, scaling: adapter.scaling, parts: adapter.parts(site) })
            .filter(|segment| !segment.parts.is_empty())
            .collect();
        if segments.is_empty() { Ok(()) } else { ops.add_lora(x, y, &segments) }
    }

    fn add_to_embeddings(&self, ops: &dyn Ops, ctx: &ForwardContext<'_>, y: &mut Tensor) -> Result<()> {
        for (adapter, rows) in &self.groups {
            let Some(embedding) = adapter.embedding() else { continue };
            let x = ops.embedding(&embedding.table, ctx)?;
            let parts = std::slice::from_ref(&embedding.part);
            ops.add_lora(&x, y, &[LoraSegment { rows, scaling: adapter.scaling, parts }])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PlannedSeq;

    #[test]
    fn requests_of_one_adapter_are_one_group_wherever_they_are() {
        let seq = |row, first_token, extend_len| PlannedSeq { row, prefix_len: 0, extend_len, first_token };
        let plan = ForwardPlan {
            seqs: vec![seq(5, 0, 2), seq(6, 2, 1), seq(7, 3, 1), seq(8, 4, 2)],
            ..Default::default()
        };
        let [a, b] = [1.0, 2.0].map(|scaling| LoraAdapter::new(scaling, Default::default(), None));
        let of = |row| match row {
            5 | 8 => Some((1, &a)),
            6 => Some((2, &b)),
            _ => None,
        };
        let batch = LoraBatch::of_step(&plan, of).unwrap();
        let groups: Vec<(f64, &[u32])> =
            batch.groups.iter().map(|(a, rows)| (a.scaling, rows.indices())).collect();
        assert_eq!(groups, [(1.0, &[0, 1, 4, 5][..]), (2.0, &[2][..])]);
        // The last rows of three requests, and one from the middle.
        let chosen = LoraBatch::of_rows(&plan, &[1, 2, 3, 4], of).unwrap();
        let groups: Vec<&[u32]> = chosen.groups.iter().map(|(_, rows)| rows.indices()).collect();
        assert_eq!(groups, [&[0, 3][..], &[1]]);
        assert!(LoraBatch::of_step(&plan, |_| None::<(u32, &LoraAdapter)>).is_none());
    }
}
