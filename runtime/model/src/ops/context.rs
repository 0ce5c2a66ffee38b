//! What the layers of one step share.

use std::cell::OnceCell;

use tch::{Device, Tensor};

use crate::eplb::ExpertDistributionRecorder;
use crate::error::Result;
use crate::lora::LoraBatch;
use crate::memory::ReqToTokenPool;
use crate::plan::ForwardPlan;

use super::cuda::DecodeTable;
use super::torch_attention::AttentionPlan;
use super::{LinearWeight, Ops, TopKOutput};

/// One step: the plan, the slots of its requests, and what the backends derive from them once per step.
#[derive(Debug)]
pub struct ForwardContext<'a> {
    /// The checked step.
    pub plan: &'a ForwardPlan,
    /// Slots of positions `0..seq_len` of each request.
    pub slot_tables: Vec<&'a [u32]>,
    /// Slot of padding rows: the pool's last one, which no request owns.
    pub padding_slot: u32,
    recorder: Option<&'a ExpertDistributionRecorder>,
    lora: Option<LoraBatch<'a>>,
    device: Device,
    torch: OnceCell<TorchInputs>,
    decode_table: OnceCell<DecodeTable>,
}

/// The step's indices as tensors on the device.
#[derive(Debug)]
pub(super) struct TorchInputs {
    pub input_ids: Tensor,
    pub out_cache_loc: Tensor,
    attention: OnceCell<AttentionPlan>,
}

impl<'a> ForwardContext<'a> {
    /// Prepares a step whose new slots are in `table`.
    pub fn new(plan: &'a ForwardPlan, table: &'a ReqToTokenPool, padding_slot: u32, device: Device) -> Self {
        Self {
            plan,
            slot_tables: plan.slot_tables(table),
            padding_slot,
            recorder: None,
            lora: None,
            device,
            torch: OnceCell::new(),
            decode_table: OnceCell::new(),
        }
    }

    /// Tells `recorder` which experts are chosen.
    pub fn with_recorder(self, recorder: Option<&'a ExpertDistributionRecorder>) -> Self {
        Self { recorder, ..self }
    }

    /// Has `lora` change the products of [`ForwardContext::linear`].
    pub(crate) fn with_lora(self, lora: Option<LoraBatch<'a>>) -> Self {
        Self { lora, ..self }
    }

    /// `x · weightᵀ + bias`, with what the requests' adapters add to it.
    ///
    /// # Errors
    /// The backend's.
    pub fn linear(&self, ops: &dyn Ops, x: &Tensor, weight: &LinearWeight) -> Result<Tensor> {
        let mut y = ops.linear(x, weight)?;
        if let (Some(lora), Some(site)) = (&self.lora, weight.lora_site()) {
            lora.add(ops, site, x, &mut y)?;
        }
        Ok(y)
    }

    /// Embeddings of the step's tokens, with what the requests' adapters add to them.
    ///
    /// # Errors
    /// The backend's.
    pub fn embedding(&self, ops: &dyn Ops, weight: &LinearWeight) -> Result<Tensor> {
        let mut y = ops.embedding(weight, self)?;
        if let Some(lora) = &self.lora {
            lora.add_to_embeddings(ops, self, &mut y)?;
        }
        Ok(y)
    }

    /// Notes the experts that a layer chose for the step's tokens.
    pub fn on_select_experts(&self, layer_idx: usize, topk: &TopKOutput) {
        if let Some(recorder) = self.recorder {
            recorder.on_select_experts(layer_idx, topk);
        }
    }

    /// The tensors, made on first use: the native backend does without them.
    pub(super) fn torch(&self) -> Result<&TorchInputs> {
        if let Some(inputs) = self.torch.get() {
            return Ok(inputs);
        }
        let inputs = TorchInputs {
            input_ids: index_tensor(self.plan.input_ids.iter().copied(), self.device)?,
            out_cache_loc: index_tensor(self.plan.out_cache_loc.iter().copied(), self.device)?,
            attention: OnceCell::new(),
        };
        Ok(self.torch.get_or_init(|| inputs))
    }

    /// How libtorch attends; made on first use.
    pub(super) fn attention_plan(&self) -> Result<&AttentionPlan> {
        let cell = &self.torch()?.attention;
        if let Some(plan) = cell.get() {
            return Ok(plan);
        }
        let plan = AttentionPlan::new(self, self.device)?;
        Ok(cell.get_or_init(|| plan))
    }

    /// The slots of a step in which every request decodes, for our own kernel; made on first use.
    pub(super) fn decode_table(&self) -> Result<Option<&DecodeTable>> {
        if !self.plan.is_decode() || self.plan.seqs.is_empty() {
            return Ok(None);
        }
        if self.decode_table.get().is_none() {
            let table = DecodeTable::new(&self.slot_tables, self.device)?;
            let _ = self.decode_table.set(table);
        }
        Ok(self.decode_table.get())
    }
}

/// Indices as an int64 tensor on `device`.
pub(super) fn index_tensor(values: impl Iterator<Item = u32>, device: Device) -> Result<Tensor> {
    let values: Vec<i64> = values.map(i64::from).collect();
    Ok(Tensor::f_from_slice(&values)?.f_to(device)?)
}
