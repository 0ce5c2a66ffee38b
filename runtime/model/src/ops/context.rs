//! The context that all layers of a step share.

use std::cell::OnceCell;

use tch::{Device, Tensor};

use crate::error::Result;
use crate::memory::ReqToTokenPool;
use crate::plan::ForwardPlan;

use super::cuda::DecodeTable;
use super::index::index_tensor;
use super::torch_attention::AttentionPlan;
use super::{LinearWeight, Ops, TopKOutput};

/// The adapters of a step's requests.
pub trait StepAdapters: std::fmt::Debug {
    /// Adds the LoRA deltas for a layer's input `x` to its output `y`. `site` is the layer's index among those that
    /// adapters can change.
    ///
    /// # Errors
    /// An error of the backend.
    fn add(&self, ops: &dyn Ops, site: usize, x: &Tensor, y: &mut Tensor) -> Result<()>;

    /// Adds the LoRA deltas for the step's tokens to their embeddings `y`.
    ///
    /// # Errors
    /// An error of the backend.
    fn add_to_embeddings(&self, ops: &dyn Ops, ctx: &ForwardContext<'_>, y: &mut Tensor) -> Result<()>;
}

/// Is notified of the experts that layers choose.
pub trait ExpertObserver: std::fmt::Debug {
    /// `layer_idx` chose these experts for the step's tokens.
    fn on_select_experts(&self, layer_idx: usize, topk: &TopKOutput);
}

/// The context of a step: the plan, the slots of its requests, and values that backends derive from them once per step.
#[derive(Debug)]
pub struct ForwardContext<'a> {
    /// The checked step.
    pub plan: &'a ForwardPlan,
    /// Slots of positions `0..seq_len` of each request.
    pub slot_tables: Vec<&'a [u32]>,
    /// Slot of padding rows: the last of the pool, which belongs to no request.
    pub padding_slot: u32,
    observer: Option<&'a dyn ExpertObserver>,
    adapters: Option<Box<dyn StepAdapters + 'a>>,
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
    /// A context for a step whose new slots are already in `table`.
    pub fn new(plan: &'a ForwardPlan, table: &'a ReqToTokenPool, padding_slot: u32, device: Device) -> Self {
        Self {
            plan,
            slot_tables: plan.slot_tables(table),
            padding_slot,
            observer: None,
            adapters: None,
            device,
            torch: OnceCell::new(),
            decode_table: OnceCell::new(),
        }
    }

    /// Notifies `observer` of chosen experts.
    pub fn with_observer(self, observer: Option<&'a dyn ExpertObserver>) -> Self {
        Self { observer, ..self }
    }

    /// Applies `adapters` in [`ForwardContext::linear`] and [`ForwardContext::embedding`].
    pub fn with_adapters(self, adapters: Option<Box<dyn StepAdapters + 'a>>) -> Self {
        Self { adapters, ..self }
    }

    /// `x · weightᵀ + bias`, plus the LoRA deltas of the requests' adapters.
    ///
    /// # Errors
    /// An error of the backend.
    pub fn linear(&self, ops: &dyn Ops, x: &Tensor, weight: &LinearWeight) -> Result<Tensor> {
        let mut y = ops.linear(x, weight)?;
        if let (Some(adapters), Some(site)) = (&self.adapters, weight.lora_site()) {
            adapters.add(ops, site, x, &mut y)?;
        }
        Ok(y)
    }

    /// Embeddings of the step's tokens, plus the LoRA deltas of the requests' adapters.
    ///
    /// # Errors
    /// An error of the backend.
    pub fn embedding(&self, ops: &dyn Ops, weight: &LinearWeight) -> Result<Tensor> {
        let mut y = ops.embedding(weight, self)?;
        if let Some(adapters) = &self.adapters {
            adapters.add_to_embeddings(ops, self, &mut y)?;
        }
        Ok(y)
    }

    /// Notifies the observer of the experts that a layer chose for the step's tokens.
    pub fn on_select_experts(&self, layer_idx: usize, topk: &TopKOutput) {
        if let Some(observer) = self.observer {
            observer.on_select_experts(layer_idx, topk);
        }
    }

    /// The step's indices as tensors, created on first use: the native backend does not need them.
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

    /// libtorch's attention plan, created on first use.
    pub(super) fn attention_plan(&self) -> Result<&AttentionPlan> {
        let cell = &self.torch()?.attention;
        if let Some(plan) = cell.get() {
            return Ok(plan);
        }
        let plan = AttentionPlan::new(self.plan, &self.slot_tables, self.padding_slot, self.device)?;
        Ok(cell.get_or_init(|| plan))
    }

    /// The slots of a decode step, for the project's CUDA kernel; created on first use. `None` for other steps.
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
