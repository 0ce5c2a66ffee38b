//! A worker that answers every prompt with the prompt itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sglang_proto::forward::{ForwardBatch, ForwardResult, HiddenStateRows, NewRow};
use sglang_proto::worker::{
    MemoryTag, ModelWorker, ModelWorkerInfo, PromptReach, StageError, StagedWeights, WeightStager,
    WorkerError,
};

/// Stores token ids in KV slots, and reads the prompt back through the slots of its row, so that a slot that is wrongly
/// shared or freed too early gives a wrong answer. The k-th output token is the k-th prompt token; after the whole
/// prompt comes the end-of-sequence id, then the prompt again.
///
/// The hidden state of a position consists of its token id and the position.
///
/// Its only weight is a number that is added to every prompt token of an answer. A model path `shift:N` has the weight
/// `N`, `broken:WHY` cannot be loaded, and any other is not found. While its weight or slots are released, batches
/// fail.
#[derive(Debug)]
pub struct EchoWorker {
    info: ModelWorkerInfo,
    eos: u32,
    step_time: Duration,
    /// `None` while released.
    shift: Option<u32>,
    /// Empty while released.
    slot_ids: Vec<u32>,
    rows: Vec<Row>,
}

#[derive(Clone, Debug, Default)]
struct Row {
    slots: Vec<u32>,
    prompt_len: usize,
    last: Option<u32>,
}

impl EchoWorker {
    /// A worker with `vocab_size` tokens that takes `step_time` per step.
    pub fn new(
        vocab_size: u32,
        eos: u32,
        context_length: u32,
        max_total_num_tokens: u32,
        max_running_requests: u32,
        step_time: Duration,
    ) -> Self {
        Self {
            info: ModelWorkerInfo {
                is_generation: true,
                prompt_reach: PromptReach::Causal,
                vocab_size,
                context_length,
                max_total_num_tokens,
                max_running_requests,
                weight_bytes: 0,
                kv_cache_bytes: 0,
                available_bytes: 0,
                device: "cpu".into(),
                dtype: "float32".into(),
            },
            eos,
            step_time,
            shift: Some(0),
            slot_ids: slots(max_total_num_tokens),
            rows: vec![Row::default(); max_running_requests as usize + 1],
        }
    }

    fn row(&mut self, index: u32) -> Result<&mut Row, WorkerError> {
        self.rows
            .get_mut(index as usize)
            .ok_or_else(|| WorkerError::InvalidBatch(format!("row {index} is out of range")))
    }

    fn enter(&mut self, new: &NewRow) -> Result<(), WorkerError> {
        let row = self.row(new.req_pool_idx)?;
        row.slots = new.prefix_slots.clone();
        row.prompt_len = new.sampling.prompt_len as usize;
        row.last = new.sampling.output_ids.last().copied();
        Ok(())
    }

    fn id_at(&self, row: &Row, position: usize) -> Result<u32, WorkerError> {
        let slot = row.slots.get(position).copied();
        slot.and_then(|slot| self.slot_ids.get(slot as usize).copied())
            .ok_or_else(|| WorkerError::InvalidBatch(format!("position {position} has no slot")))
    }

    /// The next token of a row.
    fn answer(&self, row: &Row) -> Result<u32, WorkerError> {
        let output_len = row.slots.len().saturating_sub(row.prompt_len);
        match output_len % (row.prompt_len + 1) {
            at if at == row.prompt_len => Ok(self.eos),
            at => {
                let shift =
                    self.shift.ok_or_else(|| WorkerError::Forward("the weight is released".into()))?;
                Ok(self.id_at(row, at)? + shift)
            }
        }
    }
}

/// Empty slots, plus one for padding.
fn slots(count: u32) -> Vec<u32> {
    vec![u32::MAX; count as usize + 1]
}

/// Reads the weights of an [`EchoWorker`].
struct ShiftStager {
    time: Duration,
}

impl WeightStager for ShiftStager {
    fn stage(&self, model_path: &str, _load_format: &str) -> Result<StagedWeights, StageError> {
        std::thread::sleep(self.time);
        match model_path.split_once(':') {
            Some(("shift", shift)) => match shift.parse::<u32>() {
                Ok(shift) => Ok(StagedWeights(Box::new(shift))),
                Err(error) => Err(StageError::Load(error.to_string())),
            },
            Some(("broken", why)) => Err(StageError::Load(why.to_owned())),
            _ => Err(StageError::Iterator(format!("{model_path} (repository not found)"))),
        }
    }
}

impl ModelWorker for EchoWorker {
    fn info(&self) -> &ModelWorkerInfo {
        &self.info
    }

    fn forward(&mut self, batch: &ForwardBatch) -> Result<ForwardResult, WorkerError> {
        std::thread::sleep(self.step_time);
        for new in &batch.new_rows {
            self.enter(new)?;
        }
        let mut result = ForwardResult { forward_id: batch.forward_id, ..Default::default() };
        let mut tokens = batch.input_ids.iter().zip(&batch.out_cache_loc);
        for (i, &index) in batch.req_pool_indices.iter().enumerate() {
            let prefix = batch.prefix_lens[i] as usize;
            let mut row = std::mem::take(self.row(index)?);
            if row.slots.len() < prefix {
                return Err(WorkerError::InvalidBatch(format!("row {index} lacks its prefix")));
            }
            row.slots.truncate(prefix);
            for (&id, &slot) in tokens.by_ref().take(batch.extend_lens[i] as usize) {
                let id = match u32::try_from(id) {
                    Ok(id) => id,
                    Err(_) => row
                        .last
                        .ok_or_else(|| WorkerError::InvalidBatch(format!("row {index} has no last token")))?,
                };
                *self
                    .slot_ids
                    .get_mut(slot as usize)
                    .ok_or_else(|| WorkerError::InvalidBatch(format!("slot {slot} is out of range")))? = id;
                row.slots.push(slot);
            }
            if let Some(spec) = batch.hidden_states.iter().find(|spec| spec.req_index as usize == i) {
                let first = prefix + spec.row_start as usize;
                let hidden = |at: usize| Ok(vec![self.id_at(&row, at)? as f32, at as f32]);
                let rows = (first..row.slots.len()).map(hidden).collect::<Result<_, WorkerError>>()?;
                result.hidden_states.push(HiddenStateRows { req_index: spec.req_index, rows });
            }
            let next = if batch.sample[i] { Some(self.answer(&row)?) } else { None };
            row.last = next.or(row.last);
            *self.row(index)? = row;
            result.next_token_ids.push(next);
            result.nan.push(false);
            result.output_logprobs.push(None);
        }
        result.model_seconds = self.step_time.as_secs_f64();
        Ok(result)
    }

    fn stager(&self) -> Option<Arc<dyn WeightStager>> {
        Some(Arc::new(ShiftStager { time: 3 * self.step_time }))
    }

    fn swap_weights(&mut self, weights: StagedWeights) -> Result<(), WorkerError> {
        let shift = weights.0.downcast::<u32>();
        let shift = shift.map_err(|_| WorkerError::Forward("these are not this worker's weights".into()))?;
        self.shift = Some(*shift);
        Ok(())
    }

    fn release_memory(&mut self, tag: MemoryTag) -> Result<(), WorkerError> {
        match tag {
            MemoryTag::KvCache => self.slot_ids = Vec::new(),
            MemoryTag::Weights => self.shift = None,
            MemoryTag::CudaGraph => {}
        }
        Ok(())
    }

    fn resume_memory(&mut self, tag: MemoryTag) -> Result<(), WorkerError> {
        if tag == MemoryTag::KvCache {
            self.slot_ids = slots(self.info.max_total_num_tokens);
        }
        Ok(())
    }

    fn weight_checksums(&self) -> Result<BTreeMap<String, String>, WorkerError> {
        let shift = self.shift.ok_or_else(|| WorkerError::Forward("the weight is released".into()))?;
        Ok(BTreeMap::from([("shift".into(), format!("{shift:016x}"))]))
    }

    fn get_weights_by_name(&self, name: &str, _truncate_size: usize) -> Option<serde_json::Value> {
        self.shift.filter(|_| name == "shift").map(|shift| vec![f64::from(shift)].into())
    }
}
