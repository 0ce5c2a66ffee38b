//! Computes embeddings and scores: pools chunk by chunk, then applies the model's head.

use std::sync::Arc;

use sglang_checkpoint::PoolingType;
use sglang_proto::forward::{EmbeddingSpec, ForwardBatch, ForwardResult};
use tch::{Kind, Tensor};

use crate::error::Result;
use crate::models::embedding::host_rows;
use crate::plan::{ForwardPlan, PlannedSeq};

use super::ModelRunner;
use super::outputs::set;

impl ModelRunner {
    /// Segment of each token of a step; empty if no request has segments.
    pub(super) fn token_type_ids(&self, plan: &ForwardPlan) -> Vec<u32> {
        let spec =
            |seq: &PlannedSeq| self.rows.get(seq.row as usize).and_then(|row| row.embedding.as_deref());
        if plan.seqs.iter().filter_map(spec).all(|spec| spec.token_type_ids.is_empty()) {
            return Vec::new();
        }
        let mut all = Vec::with_capacity(plan.num_tokens());
        for seq in &plan.seqs {
            let types = spec(seq).map_or(&[][..], |spec| spec.token_type_ids.as_slice());
            all.extend((seq.prefix_len..seq.seq_len()).map(|p| types.get(p).copied().unwrap_or(0)));
        }
        all
    }

    /// Pools the step's outputs, and computes the results of requests whose prompts are complete.
    pub(super) fn embed(
        &mut self,
        batch: &ForwardBatch,
        plan: &ForwardPlan,
        hidden: &Tensor,
        out: &mut ForwardResult,
    ) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let Some(head) = self.model.as_deref().and_then(|model| model.embedding_head()) else {
            return Ok(());
        };
        let ops = self.ops.as_ref();
        let one_row = |seq: &PlannedSeq| match head.pooler.pooling {
            PoolingType::Last => seq.last_token(),
            PoolingType::Cls | PoolingType::Mean => seq.first_token,
        };
        let sums = match head.pooler.pooling {
            PoolingType::Mean => sums(hidden, &plan.seqs)?,
            _ => host_rows(&ops.select_rows(hidden, &plan.seqs.iter().map(one_row).collect::<Vec<_>>())?)?
                .into_iter()
                .map(|row| row.into_iter().map(f64::from).collect())
                .collect(),
        };
        let mut ended = Vec::new();
        let mut pooled = Vec::new();
        let mut specs: Vec<Arc<EmbeddingSpec>> = Vec::new();
        for ((i, seq), sum) in plan.seqs.iter().enumerate().zip(&sums) {
            let Some(row) = self.rows.get_mut(seq.row as usize) else { continue };
            let sampled = batch.sample.get(i) == Some(&true);
            match head.pooler.pooling {
                PoolingType::Mean => row.pooled.add(sum, seq.extend_len),
                PoolingType::Cls if seq.prefix_len == 0 => row.pooled.add(sum, 1),
                PoolingType::Last if sampled => row.pooled.add(sum, 1),
                PoolingType::Cls | PoolingType::Last => {}
            }
            if sampled {
                ended.push(i);
                pooled.push(std::mem::take(&mut row.pooled).mean());
                specs.push(row.embedding.clone().unwrap_or_default());
            }
        }
        let wanted: Vec<&EmbeddingSpec> = specs.iter().map(Arc::as_ref).collect();
        let answers = if ended.is_empty() { Vec::new() } else { head.answers(ops, pooled, &wanted)? };
        out.embeddings = vec![None; plan.seqs.len()];
        for (i, answer) in ended.into_iter().zip(answers) {
            set(&mut out.nan, i, !answer.values.iter().all(|x| x.is_finite()))?;
            set(&mut out.embeddings, i, Some(answer))?;
        }
        Ok(())
    }
}

/// The sum of each request's rows. Requests are summed separately, so that results do not depend on the batch.
fn sums(hidden: &Tensor, seqs: &[PlannedSeq]) -> Result<Vec<Vec<f64>>> {
    let sum = |seq: &PlannedSeq| -> Result<Vec<f64>> {
        let rows = hidden.f_narrow(0, seq.first_token as i64, seq.extend_len as i64)?;
        let sum = rows.f_sum_dim_intlist(0_i64, false, Kind::Double)?;
        Ok(Vec::<f64>::try_from(&sum.f_to(tch::Device::Cpu)?)?)
    };
    seqs.iter().map(sum).collect()
}
