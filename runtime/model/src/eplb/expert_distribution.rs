//! Records the chosen experts (reference: `srt/eplb/expert_distribution.py`).

use std::cell::RefCell;
use std::path::PathBuf;

use sglang_checkpoint::ModelConfig;
use sglang_proto::forward::{ForwardBatch, ForwardMode};
use sglang_server_args::ServerArgs;

use super::dump;
use super::step_buffer::StepBuffer;
use super::torch_save::PyObject;
use crate::config::num_experts;
use crate::error::{ModelError, Result};
use crate::ops::{ExpertObserver, TopKOutput};
use crate::plan::ForwardPlan;

/// Experts per token in a per-token record; fewer are padded with -1.
const TOP_K_NUM: usize = 8;
/// Default of `--expert-distribution-recorder-buffer-size`, in steps.
const DEFAULT_BUFFER_SIZE: usize = 1000;
/// Folder of dumps if `SGLANG_EXPERT_DISTRIBUTION_RECORDER_DIR` is not set.
const DEFAULT_DIR: &str = "/tmp";

/// What the recorder keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecorderMode {
    /// Counts of the last steps. (The reference's `stat_approx` has the same form; counts here are exact.)
    Stat,
    /// Counts of each step since the start.
    PerPass,
    /// Like `PerPass`, and for each token its position and experts.
    PerToken,
}

/// Settings of a recorder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecorderSettings {
    /// What the recorder keeps.
    pub mode: RecorderMode,
    /// Number of steps that [`RecorderMode::Stat`] keeps; `None` keeps all.
    pub buffer_size: Option<usize>,
    /// Folder of the dumps; created if missing.
    pub dir: PathBuf,
}

impl RecorderSettings {
    /// The settings of a server; `None` if recording is off.
    pub fn from_server_args(args: &ServerArgs) -> Option<Self> {
        let mode = match args.expert_distribution_recorder_mode.as_deref()? {
            "per_pass" => RecorderMode::PerPass,
            "per_token" => RecorderMode::PerToken,
            _ => RecorderMode::Stat,
        };
        let dir = std::env::var_os("SGLANG_EXPERT_DISTRIBUTION_RECORDER_DIR").filter(|dir| !dir.is_empty());
        let buffer_size = match args.expert_distribution_recorder_buffer_size {
            None => Some(DEFAULT_BUFFER_SIZE),
            // A negative size keeps all steps.
            Some(size) => usize::try_from(size).ok(),
        };
        Some(Self { mode, buffer_size, dir: dir.map_or_else(|| DEFAULT_DIR.into(), PathBuf::from) })
    }
}

/// Records the experts that a model's layers choose, between [`ExpertDistributionRecorder::start_record`] and
/// [`ExpertDistributionRecorder::stop_record`].
#[derive(Debug)]
pub struct ExpertDistributionRecorder {
    settings: RecorderSettings,
    num_layers: usize,
    num_experts: usize,
    /// The model's layers update it while they run, one at a time.
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    recording: bool,
    pass: Option<Pass>,
    buffer: StepBuffer,
    records: Vec<Record>,
}

/// The current step.
#[derive(Debug)]
struct Pass {
    /// `[layers, experts]`.
    count: Vec<i32>,
    tokens: Option<TokenRecord>,
}

/// One step of a detailed record.
#[derive(Debug)]
struct Record {
    forward_pass_id: u64,
    pass: Pass,
}

/// The tokens of a step.
#[derive(Debug)]
struct TokenRecord {
    input_ids: Vec<u32>,
    positions: Vec<u32>,
    /// New tokens per request; `None` when decoding.
    extend_seq_lens: Option<Vec<u32>>,
    forward_mode: ForwardMode,
    /// Choices per token.
    width: usize,
    /// `[layers, tokens, width]`.
    topk_ids_of_layer: Vec<i32>,
}

impl ExpertDistributionRecorder {
    /// A recorder that is not recording, for a model with `num_experts` experts in some of its `num_layers` layers.
    pub fn new(settings: RecorderSettings, num_layers: usize, num_experts: usize) -> Self {
        let size = match settings.mode {
            RecorderMode::Stat => settings.buffer_size,
            RecorderMode::PerPass | RecorderMode::PerToken => Some(0),
        };
        let state = State {
            recording: false,
            pass: None,
            buffer: StepBuffer::new(num_layers * num_experts, size),
            records: Vec::new(),
        };
        Self { settings, num_layers, num_experts, state: RefCell::new(state) }
    }

    /// A recorder for a model of this configuration.
    ///
    /// # Errors
    /// The model has no experts, so the flag cannot be applied.
    pub fn of_model(settings: RecorderSettings, config: &ModelConfig) -> Result<Self> {
        let experts = num_experts(config).filter(|n| *n > 0).ok_or_else(|| ModelError::Option {
            flag: "expert-distribution-recorder-mode",
            value: String::new(),
            why: format!("{} has no experts; leave the flag out", config.architecture()),
        })?;
        Ok(Self::new(settings, config.num_hidden_layers, experts))
    }

    /// Discards earlier records and records from the next step on.
    pub fn start_record(&self) {
        let mut state = self.state.borrow_mut();
        if state.recording {
            tracing::warn!(
                "The expert distribution is being recorded already; what was recorded so far is dropped"
            );
        }
        state.reset();
        state.recording = true;
    }

    /// Stops recording and keeps the records.
    pub fn stop_record(&self) {
        let mut state = self.state.borrow_mut();
        if !state.recording {
            tracing::warn!("The expert distribution is not being recorded; there is nothing to stop");
        }
        state.recording = false;
    }

    /// Writes the records, then discards them. Returns the path of the `.pt` file; a `.csv` file with the counts is
    /// beside it.
    ///
    /// # Errors
    /// A file cannot be written; the records are kept then.
    pub fn dump_record(&self) -> Result<PathBuf> {
        let mut state = self.state.borrow_mut();
        let path = match self.settings.mode {
            RecorderMode::Stat => self.dump_counts(&state)?,
            RecorderMode::PerPass | RecorderMode::PerToken => self.dump_records(&state)?,
        };
        tracing::info!("Write expert distribution to {}", path.display());
        state.reset();
        Ok(path)
    }

    /// Called when a step begins.
    pub(crate) fn on_forward_pass_start(&self, batch: &ForwardBatch, plan: &ForwardPlan) {
        let mut state = self.state.borrow_mut();
        state.pass = state.recording.then(|| Pass {
            count: vec![0; self.num_layers * self.num_experts],
            tokens: (self.settings.mode == RecorderMode::PerToken).then(|| TokenRecord {
                input_ids: plan.input_ids.clone(),
                positions: plan.positions.clone(),
                extend_seq_lens: (batch.mode != ForwardMode::Decode).then(|| batch.extend_lens.clone()),
                forward_mode: batch.mode,
                width: TOP_K_NUM,
                topk_ids_of_layer: vec![-1; self.num_layers * plan.num_tokens() * TOP_K_NUM],
            }),
        });
    }

    /// Called when a step has succeeded.
    pub(crate) fn on_forward_pass_end(&self, forward_pass_id: u64) {
        let mut state = self.state.borrow_mut();
        let Some(pass) = state.pass.take() else { return };
        match self.settings.mode {
            RecorderMode::Stat => state.buffer.append(&pass.count),
            RecorderMode::PerPass | RecorderMode::PerToken => {
                state.records.push(Record { forward_pass_id, pass });
            }
        }
    }

    fn dump_counts(&self, state: &State) -> Result<PathBuf> {
        let buffer = &state.buffer;
        let shape = vec![buffer.steps(), self.num_layers, self.num_experts];
        let object = PyObject::Dict(vec![
            ("rank", PyObject::Int(0)),
            ("logical_count", PyObject::Int32(buffer.counts(), shape)),
            ("average_utilization_rate_over_window", PyObject::None),
        ]);
        let totals = self.totals(buffer.counts().chunks((self.num_layers * self.num_experts).max(1)));
        dump::write(&self.settings.dir, &dump::stem(None), &object, &totals)
    }

    fn dump_records(&self, state: &State) -> Result<PathBuf> {
        let map: Vec<i64> = (0..self.num_layers).flat_map(|_| 0..self.num_experts as i64).collect();
        let records = state.records.iter().map(|record| self.record(record)).collect();
        let object = PyObject::Dict(vec![
            ("records", PyObject::List(records)),
            ("last_physical_to_logical_map", PyObject::Int64(&map, vec![self.num_layers, self.num_experts])),
        ]);
        let totals = self.totals(state.records.iter().map(|record| record.pass.count.as_slice()));
        dump::write(&self.settings.dir, &dump::stem(Some(0)), &object, &totals)
    }

    fn record<'a>(&self, record: &'a Record) -> PyObject<'a> {
        let mut fields = vec![
            ("forward_pass_id", PyObject::Int(record.forward_pass_id as i64)),
            ("rank", PyObject::Int(0)),
            ("gatherer_key", PyObject::Str("primary")),
        ];
        if let Some(tokens) = &record.pass.tokens {
            let shape = vec![self.num_layers, tokens.input_ids.len(), tokens.width];
            fields.extend([
                ("input_ids", PyObject::ints(&tokens.input_ids)),
                ("positions", PyObject::ints(&tokens.positions)),
                (
                    "extend_seq_lens",
                    tokens.extend_seq_lens.as_ref().map_or(PyObject::None, |lens| PyObject::ints(lens)),
                ),
                ("forward_mode", PyObject::Int(forward_mode(tokens.forward_mode))),
                ("topk_ids_of_layer", PyObject::Int32(&tokens.topk_ids_of_layer, shape)),
                ("misc_objects", PyObject::List(Vec::new())),
            ]);
        }
        let shape = vec![self.num_layers, self.num_experts];
        fields.push(("global_physical_count", PyObject::Int32(&record.pass.count, shape)));
        PyObject::Dict(fields)
    }

    /// The sums of several steps, by layer and expert.
    fn totals<'a>(&self, steps: impl Iterator<Item = &'a [i32]>) -> Vec<Vec<i64>> {
        let mut totals = vec![vec![0_i64; self.num_experts]; self.num_layers];
        for step in steps {
            for (total, count) in totals.iter_mut().flatten().zip(step) {
                *total += i64::from(*count);
            }
        }
        totals
    }
}

impl State {
    fn reset(&mut self) {
        self.buffer.reset();
        self.records.clear();
    }
}

impl TokenRecord {
    fn note(&mut self, layer_idx: usize, num_layers: usize, topk: &TopKOutput) {
        let tokens = self.input_ids.len();
        if topk.top_k > self.width {
            // This is the first layer: all layers choose the same number of experts.
            self.width = topk.top_k;
            self.topk_ids_of_layer = vec![-1; num_layers * tokens * self.width];
        }
        let layer = self.topk_ids_of_layer.chunks_mut((tokens * self.width).max(1)).nth(layer_idx);
        let rows = layer.unwrap_or_default().chunks_mut(self.width);
        for (row, ids) in rows.zip(topk.topk_ids.chunks(topk.top_k.max(1))) {
            for (slot, &id) in row.iter_mut().zip(ids) {
                *slot = id as i32;
            }
        }
    }
}

/// The reference's number for a forward mode.
fn forward_mode(mode: ForwardMode) -> i64 {
    match mode {
        ForwardMode::Extend => 1,
        ForwardMode::Decode => 2,
        ForwardMode::Mixed => 3,
    }
}

impl ExpertObserver for ExpertDistributionRecorder {
    fn on_select_experts(&self, layer_idx: usize, topk: &TopKOutput) {
        let mut state = self.state.borrow_mut();
        let Some(pass) = &mut state.pass else { return };
        let layer = layer_idx * self.num_experts..(layer_idx + 1) * self.num_experts;
        if let Some(counts) = pass.count.get_mut(layer) {
            for &id in &topk.topk_ids {
                if let Some(count) = counts.get_mut(id as usize) {
                    *count += 1;
                }
            }
        }
        if let Some(tokens) = &mut pass.tokens {
            tokens.note(layer_idx, self.num_layers, topk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(mode: ForwardMode, ids: &[u32]) -> (ForwardBatch, ForwardPlan) {
        let batch = ForwardBatch {
            forward_id: 7,
            mode,
            req_pool_indices: vec![0],
            prefix_lens: vec![0],
            extend_lens: vec![ids.len() as u32],
            sample: vec![true],
            input_ids: Vec::new(),
            out_cache_loc: Vec::new(),
            new_rows: Vec::new(),
            input_logprobs: Vec::new(),
            hidden_states: Vec::new(),
        };
        let positions = (0..ids.len() as u32).collect();
        (batch, ForwardPlan { input_ids: ids.to_vec(), positions, ..ForwardPlan::default() })
    }

    fn chosen(topk_ids: &[u32]) -> TopKOutput {
        TopKOutput { top_k: 2, topk_ids: topk_ids.to_vec(), topk_weights: vec![0.5; topk_ids.len()] }
    }

    fn recorder(mode: RecorderMode, dir: &std::path::Path) -> ExpertDistributionRecorder {
        let settings = RecorderSettings { mode, buffer_size: Some(3), dir: dir.to_owned() };
        ExpertDistributionRecorder::new(settings, 2, 4)
    }

    fn step(recorder: &ExpertDistributionRecorder, mode: ForwardMode, ids: &[u32], topk_ids: &[u32]) {
        let (batch, plan) = batch(mode, ids);
        recorder.on_forward_pass_start(&batch, &plan);
        recorder.on_select_experts(1, &chosen(topk_ids));
        recorder.on_forward_pass_end(batch.forward_id);
    }

    fn csv(path: &std::path::Path) -> String {
        std::fs::read_to_string(path.with_extension("csv")).unwrap()
    }

    #[test]
    fn only_steps_between_start_and_stop_count_and_a_dump_discards_them() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [RecorderMode::Stat, RecorderMode::PerPass, RecorderMode::PerToken] {
            let recorder = recorder(mode, dir.path());
            step(&recorder, ForwardMode::Extend, &[5], &[0, 1]);
            recorder.start_record();
            step(&recorder, ForwardMode::Extend, &[5, 6], &[3, 1, 3, 0]);
            step(&recorder, ForwardMode::Decode, &[7], &[3, 2]);
            recorder.stop_record();
            step(&recorder, ForwardMode::Decode, &[8], &[1, 2]);
            let counts = "layer_id,expert_id,count\n1,0,1\n1,1,1\n1,2,1\n1,3,3\n";
            assert_eq!(csv(&recorder.dump_record().unwrap()), counts, "{mode:?}");
            assert_eq!(csv(&recorder.dump_record().unwrap()), "layer_id,expert_id,count\n", "{mode:?}");
        }
    }

    #[test]
    fn starting_again_drops_what_was_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let recorder = recorder(RecorderMode::Stat, dir.path());
        recorder.start_record();
        step(&recorder, ForwardMode::Decode, &[7], &[3, 2]);
        recorder.start_record();
        step(&recorder, ForwardMode::Decode, &[7], &[0, 1]);
        assert_eq!(
            csv(&recorder.dump_record().unwrap()),
            "layer_id,expert_id,count\n1,0,1\n1,1,1\n1,2,0\n1,3,0\n"
        );
    }

    #[test]
    fn a_step_that_failed_is_not_counted() {
        let dir = tempfile::tempdir().unwrap();
        let recorder = recorder(RecorderMode::PerPass, dir.path());
        recorder.start_record();
        let (batch, plan) = batch(ForwardMode::Extend, &[5]);
        recorder.on_forward_pass_start(&batch, &plan);
        recorder.on_select_experts(0, &chosen(&[0, 1]));
        step(&recorder, ForwardMode::Decode, &[7], &[3, 2]);
        assert_eq!(recorder.state.borrow().records.len(), 1);
        assert_eq!(recorder.state.borrow().records[0].pass.count, [0, 0, 0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn every_token_is_recorded_with_its_experts() {
        let dir = tempfile::tempdir().unwrap();
        let recorder = recorder(RecorderMode::PerToken, dir.path());
        recorder.start_record();
        step(&recorder, ForwardMode::Extend, &[5, 6], &[3, 1, 3, 0]);
        step(&recorder, ForwardMode::Decode, &[9], &[2, 1]);
        let state = recorder.state.borrow();
        let first = state.records[0].pass.tokens.as_ref().unwrap();
        assert_eq!(first.topk_ids_of_layer[..16], [-1; 16]);
        assert_eq!(first.topk_ids_of_layer[16..20], [3, 1, -1, -1]);
        assert_eq!(first.topk_ids_of_layer[24..28], [3, 0, -1, -1]);
        let PyObject::Dict(fields) = recorder.record(&state.records[0]) else { panic!("not a dict") };
        let keys: Vec<&str> = fields.iter().map(|(key, _)| *key).collect();
        assert_eq!(
            keys,
            [
                "forward_pass_id",
                "rank",
                "gatherer_key",
                "input_ids",
                "positions",
                "extend_seq_lens",
                "forward_mode",
                "topk_ids_of_layer",
                "misc_objects",
                "global_physical_count"
            ]
        );
        assert_eq!(fields[3].1, PyObject::ints(&[5_u32, 6]));
        assert_eq!((&fields[5].1, &fields[6].1), (&PyObject::ints(&[2_u32]), &PyObject::Int(1)));
        let PyObject::Dict(fields) = recorder.record(&state.records[1]) else { panic!("not a dict") };
        assert_eq!((&fields[5].1, &fields[6].1), (&PyObject::None, &PyObject::Int(2)));
    }

    #[test]
    fn more_choices_than_eight_have_room() {
        let dir = tempfile::tempdir().unwrap();
        let settings =
            RecorderSettings { mode: RecorderMode::PerToken, buffer_size: None, dir: dir.path().to_owned() };
        let recorder = ExpertDistributionRecorder::new(settings, 1, 12);
        recorder.start_record();
        let (batch, plan) = batch(ForwardMode::Decode, &[1]);
        recorder.on_forward_pass_start(&batch, &plan);
        let topk_ids: Vec<u32> = (0..10).collect();
        recorder.on_select_experts(0, &TopKOutput { top_k: 10, topk_weights: vec![0.1; 10], topk_ids });
        recorder.on_forward_pass_end(1);
        let state = recorder.state.borrow();
        let tokens = state.records[0].pass.tokens.as_ref().unwrap();
        assert_eq!(tokens.topk_ids_of_layer, (0..10).collect::<Vec<i32>>());
    }
}
