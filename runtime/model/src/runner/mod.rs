//! Runs batches. [`ModelRunner`] is the model worker of a scheduler process.

mod embed;
mod hidden_states;
mod logits;
mod outputs;
mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use sglang_proto::forward::{
    EmbeddingSpec, ForwardBatch, ForwardResult, InputLogprobs, NewRow, PositionLogprobs,
};
use sglang_proto::lora::LoRARef;
use sglang_proto::messages::ExpertDistributionReqType;
use sglang_proto::worker::{
    AdapterReader, MemoryTag, ModelWorker, ModelWorkerInfo, StagedWeights, WeightStager, WorkerError,
};
use sglang_sampling::{RowGrammar, RowState, Sampled, Sampler};
use tch::Tensor;

use crate::eplb::ExpertDistributionRecorder;
use crate::error::{ModelError, Result};
use crate::loader::WeightTable;
use crate::lora::LoraManager;
use crate::lora::reader::ReadAdapter;
use crate::memory::{MHATokenToKVPool, ReqToTokenPool, give_back_freed_memory};
use crate::models::CausalLM;
use crate::models::embedding::Pooled;
use crate::ops::{ExpertObserver, ForwardContext, Ops, StepAdapters};
use crate::plan::{ForwardPlan, PlannedSeq};
use crate::update::{CheckpointStager, LoadedModel};

use logits::Logits;
use outputs::set;
use plan::{Limits, plan_batch};

/// Positions of a row beyond the context length: with overlap, the scheduler learns one step late that a request has
/// ended.
const EXTRA_POSITIONS: usize = 4;

/// A loaded model with its KV pool and the sampling state of its requests (reference: `ModelRunner`,
/// `TpModelWorker`).
#[derive(Debug)]
pub struct ModelRunner {
    ops: Box<dyn Ops>,
    /// `None` while the weights are released.
    model: Option<Box<dyn CausalLM>>,
    table: WeightTable,
    stager: Arc<CheckpointStager>,
    kv_pool: MHATokenToKVPool,
    req_to_token: ReqToTokenPool,
    rows: Vec<Row>,
    sampler: Sampler,
    recorder: Option<ExpertDistributionRecorder>,
    lora: Option<LoraManager>,
    info: ModelWorkerInfo,
}

/// The worker's state of one pool row.
#[derive(Debug, Default)]
struct Row {
    state: Option<RowState>,
    grammar: Option<RowGrammar>,
    last_token: Option<u32>,
    lora_id: Option<Arc<str>>,
    embedding: Option<Arc<EmbeddingSpec>>,
    pooled: Pooled,
}

impl ModelRunner {
    /// A runner for a loaded model. `info` describes the model and the pool; `stager` reads new weights.
    pub(crate) fn new(
        ops: Box<dyn Ops>,
        loaded: LoadedModel,
        kv_pool: MHATokenToKVPool,
        info: ModelWorkerInfo,
        stager: Arc<CheckpointStager>,
    ) -> Self {
        let size = info.max_running_requests as usize;
        let rows = (0..size).map(|_| Row::default()).collect();
        Self {
            ops,
            model: Some(loaded.model),
            table: loaded.table,
            stager,
            kv_pool,
            req_to_token: ReqToTokenPool::new(size),
            rows,
            sampler: Sampler::new(),
            recorder: None,
            lora: None,
            info,
        }
    }

    /// Adds a recorder of chosen experts.
    #[must_use]
    pub fn with_recorder(self, recorder: Option<ExpertDistributionRecorder>) -> Self {
        Self { recorder, ..self }
    }

    /// Sets whether output log-probabilities ignore the temperature.
    #[must_use]
    pub(crate) fn with_original_logprobs(self, original: bool) -> Self {
        Self { sampler: self.sampler.with_original_logprobs(original), ..self }
    }

    /// Adds LoRA adapters.
    #[must_use]
    pub(crate) fn with_lora(self, lora: Option<LoraManager>) -> Self {
        Self { lora, ..self }
    }

    /// Logits of all new tokens of a batch, `[tokens, vocab]`, without sampling. Like [`ModelWorker::forward`], checks
    /// the batch and writes its keys and values.
    ///
    /// # Errors
    /// Same as [`ModelWorker::forward`].
    pub fn all_logits(&mut self, batch: &ForwardBatch) -> std::result::Result<Vec<Vec<f32>>, WorkerError> {
        let plan = self.admit(batch)?;
        self.prepare_adapters(&plan).map_err(failed)?;
        let run = |runner: &Self| -> Result<Vec<Vec<f32>>> {
            let hidden = runner.hidden_states(&plan)?;
            let rows: Vec<usize> = (0..plan.num_tokens()).collect();
            let mut all = Vec::with_capacity(rows.len());
            for chunk in rows.chunks(logits::ROWS_AT_ONCE) {
                let mut logits = runner.logits(&plan, &hidden, chunk)?;
                for i in 0..chunk.len() {
                    all.push(logits.row(i).to_vec());
                }
            }
            Ok(all)
        };
        run(self).map_err(failed)
    }

    /// The model, unless its weights are released.
    fn model(&self) -> Result<&dyn CausalLM> {
        self.model.as_deref().ok_or(ModelError::Released)
    }

    /// Checks a batch, then updates rows and slots.
    fn admit(&mut self, batch: &ForwardBatch) -> std::result::Result<ForwardPlan, WorkerError> {
        let limits = Limits {
            vocab_size: self.info.vocab_size,
            slots: self.kv_pool.slots(),
            max_positions: self.info.context_length as usize + EXTRA_POSITIONS,
        };
        let mut plan = plan_batch(batch, &limits, &self.req_to_token, |row| {
            self.rows.get(row).and_then(|r| r.last_token)
        })?;
        let mut entering = Vec::with_capacity(batch.new_rows.len());
        for new in &batch.new_rows {
            let state = RowState::new(new.sampling.clone(), self.info.vocab_size)
                .map_err(|e| WorkerError::InvalidBatch(format!("row {}: {e}", new.req_pool_idx)))?;
            entering.push((new, state));
        }
        for (i, &row) in batch.req_pool_indices.iter().enumerate() {
            let known = self.rows.get(row as usize).is_some_and(|r| r.state.is_some())
                || batch.new_rows.iter().any(|n| n.req_pool_idx == row);
            if !known {
                return Err(WorkerError::InvalidBatch(format!(
                    "request {i}: pool row {row} was never entered"
                )));
            }
        }
        let unknown = |new: &&NewRow| {
            let id = new.lora_id.as_deref();
            id.is_some_and(|id| !self.lora.as_ref().is_some_and(|lora| lora.contains(id)))
        };
        if let Some(new) = batch.new_rows.iter().find(unknown) {
            let id = new.lora_id.as_deref().unwrap_or_default();
            let why = format!("row {}: the adapter {id} is not loaded", new.req_pool_idx);
            return Err(WorkerError::InvalidBatch(why));
        }
        // Nothing below can fail, so an invalid batch changes nothing.
        for (new, state) in entering {
            self.req_to_token.assign(new.req_pool_idx, &new.prefix_slots);
            if let Some(row) = self.rows.get_mut(new.req_pool_idx as usize) {
                *row = Row {
                    state: Some(state),
                    grammar: RowGrammar::enter(&new.sampling),
                    lora_id: new.lora_id.clone(),
                    embedding: new.embedding.clone(),
                    ..Row::default()
                };
            }
        }
        for seq in &plan.seqs {
            let slots =
                plan.out_cache_loc.get(seq.first_token..seq.first_token + seq.extend_len).unwrap_or_default();
            self.req_to_token.extend(seq.row, seq.prefix_len, slots);
        }
        plan.token_type_ids = self.token_type_ids(&plan);
        Ok(plan)
    }

    /// Id of the adapter of a pool row.
    fn lora_id(&self, row: u32) -> Option<&str> {
        self.rows.get(row as usize)?.lora_id.as_deref()
    }

    /// Copies the step's adapters to the device.
    fn prepare_adapters(&mut self, plan: &ForwardPlan) -> Result<()> {
        let Some(lora) = &mut self.lora else { return Ok(()) };
        let mut ids: Vec<&str> =
            plan.seqs.iter().filter_map(|seq| self.rows.get(seq.row as usize)?.lora_id.as_deref()).collect();
        ids.sort_unstable();
        ids.dedup();
        lora.prepare(&ids)
    }

    /// Runs all layers and returns `[tokens, hidden]`.
    fn hidden_states(&self, plan: &ForwardPlan) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let adapters = self.lora.as_ref().and_then(|lora| lora.batch(plan, |row| self.lora_id(row)));
        let ctx = ForwardContext::new(plan, &self.req_to_token, self.kv_pool.slots(), self.ops.device())
            .with_observer(self.recorder.as_ref().map(|recorder| recorder as &dyn ExpertObserver))
            .with_adapters(adapters.map(|batch| Box::new(batch) as Box<dyn StepAdapters>));
        self.model()?.forward(self.ops.as_ref(), &ctx, &self.kv_pool)
    }

    /// Logits of some rows of the hidden states, on the device.
    fn device_logits(&self, plan: &ForwardPlan, hidden: &Tensor, rows: &[usize]) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let chosen = self.ops.select_rows(hidden, rows)?;
        let lora = self.lora.as_ref().and_then(|l| l.batch_of_rows(plan, rows, |row| self.lora_id(row)));
        let lora = lora.as_ref().map(|batch| batch as &dyn StepAdapters);
        self.model()?.logits(self.ops.as_ref(), &chosen, lora)
    }

    /// Logits of some rows of the hidden states, on the host.
    fn logits(&self, plan: &ForwardPlan, hidden: &Tensor, rows: &[usize]) -> Result<Logits> {
        Logits::new(&self.device_logits(plan, hidden, rows)?, self.info.vocab_size as usize)
    }

    /// Whether a request only needs the most likely token.
    fn takes_argmax(&self, row: u32) -> bool {
        let row = self.rows.get(row as usize);
        row.is_some_and(|r| r.grammar.is_none() && r.state.as_ref().is_some_and(RowState::takes_argmax))
    }

    /// Samples the requests that the batch marks for sampling.
    fn sample(
        &mut self,
        batch: &ForwardBatch,
        plan: &ForwardPlan,
        hidden: &Tensor,
        out: &mut ForwardResult,
    ) -> Result<()> {
        let wanted: Vec<usize> =
            (0..plan.seqs.len()).filter(|&i| batch.sample.get(i) == Some(&true)).collect();
        for chunk in wanted.chunks(logits::ROWS_AT_ONCE) {
            let last_rows: Vec<usize> =
                chunk.iter().filter_map(|&i| plan.seqs.get(i).map(PlannedSeq::last_token)).collect();
            let vocab_size = self.info.vocab_size as usize;
            let on_device = self.device_logits(plan, hidden, &last_rows)?;
            let simple = |&i: &usize| plan.seqs.get(i).is_some_and(|s| self.takes_argmax(s.row));
            let likely = if chunk.iter().all(simple) {
                self.ops.argmax(&on_device, vocab_size)?
            } else {
                vec![None; chunk.len()]
            };
            // Copy logits to the host only if some request needs them there.
            let mut logits = if likely.iter().all(Option::is_some) {
                None
            } else {
                Some(Logits::new(&on_device, vocab_size)?)
            };
            for (r, &i) in chunk.iter().enumerate() {
                let row = plan.seqs.get(i).and_then(|s| self.rows.get_mut(s.row as usize));
                let Some(Row { state: Some(state), grammar, last_token, .. }) = row else { continue };
                let allowed = grammar.as_mut().and_then(RowGrammar::allowed);
                let sampled = match (likely.get(r).copied().flatten(), &mut logits) {
                    (Some(token), _) => Sampled { token, nan: false, logprobs: None },
                    (None, Some(logits)) => {
                        self.sampler.sample_row(logits.row(r), state, state.position(), allowed)
                    }
                    (None, None) => continue,
                };
                state.observe(sampled.token);
                if let Some(end) = grammar.as_mut().and_then(|g| g.accept(sampled.token)) {
                    out.grammar_ends.resize(plan.seqs.len(), None);
                    set(&mut out.grammar_ends, i, Some(end))?;
                }
                *last_token = Some(sampled.token);
                set(&mut out.next_token_ids, i, Some(sampled.token))?;
                set(&mut out.nan, i, sampled.nan)?;
                set(&mut out.output_logprobs, i, sampled.logprobs)?;
            }
        }
        Ok(())
    }

    /// Computes the requested log-probabilities of prompt tokens.
    fn input_logprobs(
        &mut self,
        batch: &ForwardBatch,
        plan: &ForwardPlan,
        hidden: &Tensor,
    ) -> Result<Vec<InputLogprobs>> {
        let mut answers = Vec::with_capacity(batch.input_logprobs.len());
        for spec in &batch.input_logprobs {
            let first =
                plan.seqs.get(spec.req_index as usize).map_or(0, |s| s.first_token) + spec.row_start as usize;
            let mut rows: Vec<PositionLogprobs> = Vec::with_capacity(spec.targets.len());
            for (c, targets) in spec.targets.chunks(logits::ROWS_AT_ONCE).enumerate() {
                let start = first + c * logits::ROWS_AT_ONCE;
                let wanted: Vec<usize> = (start..start + targets.len()).collect();
                let mut logits = self.logits(plan, hidden, &wanted)?;
                for (r, &target) in targets.iter().enumerate() {
                    let (top, ids) = (spec.top_logprobs_num, &spec.token_ids_logprob);
                    rows.push(self.sampler.input_logprobs(logits.row(r), target, top, ids));
                }
            }
            answers.push(InputLogprobs { req_index: spec.req_index, rows });
        }
        Ok(answers)
    }
}

fn failed(e: ModelError) -> WorkerError {
    WorkerError::Forward(e.to_string())
}

impl ModelWorker for ModelRunner {
    fn info(&self) -> &ModelWorkerInfo {
        &self.info
    }

    fn forward(&mut self, batch: &ForwardBatch) -> std::result::Result<ForwardResult, WorkerError> {
        let started = Instant::now();
        let plan = self.admit(batch)?;
        self.prepare_adapters(&plan).map_err(failed)?;
        let prepared = Instant::now();
        let requests = plan.seqs.len();
        let mut out = ForwardResult {
            forward_id: batch.forward_id,
            next_token_ids: vec![None; requests],
            nan: vec![false; requests],
            output_logprobs: vec![None; requests],
            ..ForwardResult::default()
        };
        if let Some(recorder) = &self.recorder {
            recorder.on_forward_pass_start(batch, &plan);
        }
        let hidden = self.hidden_states(&plan).map_err(failed)?;
        if let Some(recorder) = &self.recorder {
            recorder.on_forward_pass_end(batch.forward_id);
        }
        let computed = Instant::now();
        if !self.info.is_generation {
            self.embed(batch, &plan, &hidden, &mut out).map_err(failed)?;
        } else {
            out.input_logprobs = self.input_logprobs(batch, &plan, &hidden).map_err(failed)?;
            out.hidden_states = self.wanted_hidden_states(batch, &plan, &hidden).map_err(failed)?;
            self.sample(batch, &plan, &hidden, &mut out).map_err(failed)?;
        }
        out.model_seconds = started.elapsed().as_secs_f64();
        out.prepare_seconds = (prepared - started).as_secs_f64();
        out.sample_seconds = computed.elapsed().as_secs_f64();
        Ok(out)
    }

    fn expert_distribution(&mut self, action: ExpertDistributionReqType) -> std::result::Result<(), String> {
        let recorder = self.recorder.as_ref().ok_or("the expert distribution recorder is off")?;
        match action {
            ExpertDistributionReqType::StartRecord => recorder.start_record(),
            ExpertDistributionReqType::StopRecord => recorder.stop_record(),
            ExpertDistributionReqType::DumpRecord => {
                recorder.dump_record().map_err(|e| e.to_string())?;
            }
        }
        Ok(())
    }

    fn stager(&self) -> Option<Arc<dyn WeightStager>> {
        Some(self.stager.clone())
    }

    fn swap_weights(&mut self, weights: StagedWeights) -> std::result::Result<(), WorkerError> {
        let loaded = weights
            .0
            .downcast::<LoadedModel>()
            .map_err(|_| WorkerError::Forward("the weights were staged for another worker".to_owned()))?;
        // Sites are equal for models of the same configuration; adapters refer to layers by site.
        if self.lora.as_ref().is_some_and(|lora| *lora.reader().sites() != loaded.lora_sites) {
            return Err(WorkerError::Forward("the loaded adapters do not fit the new weights".to_owned()));
        }
        self.model = Some(loaded.model);
        self.table = loaded.table;
        self.info.weight_bytes = loaded.summary.bytes;
        Ok(())
    }

    fn adapter_reader(&self) -> Option<Arc<dyn AdapterReader>> {
        self.lora.as_ref().map(|lora| lora.reader() as Arc<dyn AdapterReader>)
    }

    fn load_adapter(&mut self, lora: LoRARef, read: StagedWeights) -> std::result::Result<(), String> {
        let manager = self.lora.as_mut().ok_or("LoRA is not enabled")?;
        let read = read.0.downcast::<ReadAdapter>().map_err(|_| "the adapter was read for another worker")?;
        manager.add(lora, *read)
    }

    fn unload_adapter(&mut self, lora_id: &str) {
        if let Some(lora) = &mut self.lora {
            lora.remove(lora_id);
        }
    }

    fn release_memory(&mut self, tag: MemoryTag) -> std::result::Result<(), WorkerError> {
        match tag {
            MemoryTag::KvCache => self.kv_pool.release(),
            MemoryTag::Weights => {
                self.model = None;
                self.table = WeightTable::default();
            }
            MemoryTag::CudaGraph => {}
        }
        give_back_freed_memory(self.ops.device());
        Ok(())
    }

    fn resume_memory(&mut self, tag: MemoryTag) -> std::result::Result<(), WorkerError> {
        match tag {
            MemoryTag::KvCache => self.kv_pool.resume().map_err(failed),
            MemoryTag::Weights | MemoryTag::CudaGraph => Ok(()),
        }
    }

    fn weight_checksums(&self) -> std::result::Result<BTreeMap<String, String>, WorkerError> {
        self.model().map_err(failed)?;
        self.table.checksums().map_err(failed)
    }

    fn get_weights_by_name(&self, name: &str, truncate_size: usize) -> Option<serde_json::Value> {
        self.table.get(name, truncate_size).unwrap_or_else(|error| {
            tracing::error!("Error when getting parameter {name}: {error}");
            None
        })
    }
}
