//! Launches the CUDA kernels on tensors.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::{
    CudaContext, CudaFunction, CudaModule, CudaStream, DeviceRepr, LaunchConfig, PushKernelArg,
};
use tch::{Device, Kind, Tensor};

use crate::error::{ModelError, Result};
use crate::ops::{AttentionOptions, HeadLayout, LayerKv, RopeTable};

use super::compile::{Program, compile};

/// Threads of a block of the attention kernel (`THREADS` in its source).
const ATTENTION_THREADS: u32 = 128;
/// Minimum number of keys per split of a long request.
const KEYS_PER_SPLIT: usize = 128;
const MAX_SPLITS: usize = 64;

/// The kernels for one GPU and one number format.
#[derive(Debug)]
pub(in crate::ops) struct CudaKernels {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    device: Device,
    kind: Kind,
    capability: i32,
    processors: usize,
    layers: Arc<CudaModule>,
    functions: Mutex<HashMap<(Program, &'static str), CudaFunction>>,
    attention: Mutex<HashMap<(u32, u32), Arc<CudaModule>>>,
}

/// Activations that the kernel for gated feed-forward blocks supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ops) enum GateActivation {
    /// `x * sigmoid(x)`.
    Silu = 0,
    /// GELU in its tanh approximation.
    GeluTanh = 1,
}

/// The slots of a decoding step's requests on the GPU.
#[derive(Debug)]
pub(in crate::ops) struct DecodeTable {
    /// Slots of all positions, request by request, int32.
    slots: Tensor,
    /// Start of each request's slots, then the end; int32.
    starts: Tensor,
    requests: usize,
    longest: usize,
}

impl DecodeTable {
    /// Uploads the slots.
    pub(in crate::ops) fn new(tables: &[&[u32]], device: Device) -> Result<Self> {
        let slots: Vec<i32> = tables.iter().copied().flatten().map(|s| *s as i32).collect();
        let mut starts = vec![0_i32];
        let mut end = 0;
        for table in tables {
            end += table.len() as i32;
            starts.push(end);
        }
        Ok(Self {
            slots: Tensor::f_from_slice(&slots)?.f_to(device)?,
            starts: Tensor::f_from_slice(&starts)?.f_to(device)?,
            requests: tables.len(),
            longest: tables.iter().map(|t| t.len()).max().unwrap_or(0),
        })
    }
}

/// Arguments of attention with one new token per request.
#[derive(Debug)]
pub(in crate::ops) struct PagedDecode<'a> {
    /// Merged rows, one per request.
    pub qkv: &'a Tensor,
    /// Layout of their columns.
    pub heads: HeadLayout,
    /// Attention options.
    pub options: &'a AttentionOptions,
    /// KV cache of the layer.
    pub kv: LayerKv<'a>,
    /// The requests' slots.
    pub table: &'a DecodeTable,
}

/// Same layout as `DecodeArgs` in `paged_attention.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct DecodeArgs {
    q: u64,
    q_stride: i64,
    k_pool: u64,
    v_pool: u64,
    slots: u64,
    starts: u64,
    sinks: u64,
    out: u64,
    partial: u64,
    kv_heads: i32,
    group: i32,
    head_dim: i32,
    window: i32,
    splits: i32,
    scale: f32,
    cap: f32,
}

// SAFETY: plain numbers in C's layout, the same as the kernel's structure.
unsafe impl DeviceRepr for DecodeArgs {}

/// Address of a tensor's data on the GPU.
fn pointer(t: &Tensor) -> u64 {
    t.data_ptr() as u64
}

fn config(grid: (usize, usize, usize), threads: u32) -> LaunchConfig {
    let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    LaunchConfig {
        grid_dim: (size(grid.0), size(grid.1), size(grid.2)),
        block_dim: (threads, 1, 1),
        shared_mem_bytes: 0,
    }
}

/// Threads per row: a multiple of the warp size.
fn row_threads(columns: usize) -> u32 {
    (columns.div_ceil(4).next_multiple_of(32) as u32).clamp(32, 512)
}

fn failed(e: impl std::fmt::Display) -> ModelError {
    ModelError::Kernel(format!("a CUDA kernel could not be started: {e}"))
}

impl CudaKernels {
    /// Compiles the kernels for a GPU and activations of `kind`. libtorch's CUDA library must be loaded.
    ///
    /// # Errors
    /// Says what is missing, or contains the compiler's log.
    pub(in crate::ops) fn new(index: usize, kind: Kind) -> std::result::Result<Self, String> {
        let driver = |e: cudarc::driver::DriverError| format!("the NVIDIA driver: {e}");
        let context = CudaContext::new(index).map_err(driver)?;
        let (major, minor) = context.compute_capability().map_err(driver)?;
        let attribute = cudarc::driver::sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
        let processors = context.attribute(attribute).map_err(driver)?;
        let capability = 10 * major + minor;
        let layers = context.load_module(compile(Program::Layers, kind, capability)?).map_err(driver)?;
        Ok(Self {
            stream: context.default_stream(),
            device: Device::Cuda(index),
            context,
            kind,
            capability,
            processors: usize::try_from(processors).unwrap_or(1),
            layers,
            functions: Mutex::default(),
            attention: Mutex::default(),
        })
    }

    /// Whether the kernels can use these tensors without conversion.
    pub(in crate::ops) fn take(&self, tensors: &[&Tensor]) -> bool {
        tensors.iter().all(|t| {
            t.device() == self.device
                && t.f_kind().is_ok_and(|k| k == self.kind)
                && t.is_contiguous()
                && t.numel() > 0
        })
    }

    fn function(&self, program: Program, name: &'static str) -> Result<CudaFunction> {
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = functions.get(&(program, name)) {
            return Ok(found.clone());
        }
        let module = match program {
            Program::Layers => Arc::clone(&self.layers),
            Program::PagedAttention { lanes, heads } => {
                let mut modules = self.attention.lock().unwrap_or_else(PoisonError::into_inner);
                match modules.get(&(lanes, heads)) {
                    Some(module) => Arc::clone(module),
                    None => {
                        let ptx = compile(program, self.kind, self.capability).map_err(ModelError::Kernel)?;
                        let module = self.context.load_module(ptx).map_err(failed)?;
                        modules.insert((lanes, heads), Arc::clone(&module));
                        module
                    }
                }
            }
        };
        let function = module.load_function(name).map_err(failed)?;
        functions.insert((program, name), function.clone());
        Ok(function)
    }

    /// See [`crate::ops::Ops::rms_norm`].
    pub(in crate::ops) fn rms_norm(&self, x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
        let (rows, columns) = x.size2()?;
        let out = x.f_empty_like()?;
        let f = self.function(Program::Layers, "rms_norm")?;
        let (px, pw, po) = (pointer(x), pointer(weight), pointer(&out));
        let (n, eps) = (columns as i32, eps as f32);
        let mut launch = self.stream.launch_builder(&f);
        launch.arg(&px).arg(&pw).arg(&po).arg(&n).arg(&eps);
        // SAFETY: the tensors are dense, have the kernels' format and are on this GPU (`take`); `weight` has one number
        // per column; and libtorch frees their memory in stream order.
        unsafe { launch.launch(config((rows as usize, 1, 1), row_threads(columns as usize))) }
            .map_err(failed)?;
        Ok(out)
    }

    /// See [`crate::ops::Ops::fused_add_rms_norm`].
    pub(in crate::ops) fn fused_add_rms_norm(
        &self,
        x: &Tensor,
        residual: &mut Tensor,
        weight: &Tensor,
        eps: f64,
    ) -> Result<Tensor> {
        let (rows, columns) = x.size2()?;
        let out = x.f_empty_like()?;
        let f = self.function(Program::Layers, "fused_add_rms_norm")?;
        let (px, pr, pw, po) = (pointer(x), pointer(residual), pointer(weight), pointer(&out));
        let (n, eps) = (columns as i32, eps as f32);
        let mut launch = self.stream.launch_builder(&f);
        launch.arg(&px).arg(&pr).arg(&pw).arg(&po).arg(&n).arg(&eps);
        // SAFETY: as in `rms_norm`; `residual` has the shape of `x`, which the caller has checked.
        unsafe { launch.launch(config((rows as usize, 1, 1), row_threads(columns as usize))) }
            .map_err(failed)?;
        Ok(out)
    }

    /// See [`crate::ops::Ops::rms_norm_columns`]; `columns` must be inside the rows.
    pub(in crate::ops) fn rms_norm_columns(
        &self,
        x: &mut Tensor,
        columns: Range<usize>,
        weight: &Tensor,
        eps: f64,
    ) -> Result<()> {
        let (rows, stride) = x.size2()?;
        let run = weight.numel().max(1);
        let f = self.function(Program::Layers, "rms_norm_columns")?;
        let (px, pw) = (pointer(x), pointer(weight));
        let (first, n, eps) = (columns.start as i32, run as i32, eps as f32);
        let mut launch = self.stream.launch_builder(&f);
        launch.arg(&px).arg(&stride).arg(&first).arg(&n).arg(&pw).arg(&eps);
        let grid = (rows as usize, columns.len() / run, 1);
        // SAFETY: as in `rms_norm`; the runs are whole and inside the rows.
        unsafe { launch.launch(config(grid, row_threads(run))) }.map_err(failed)?;
        Ok(())
    }

    /// See [`crate::ops::Ops::rotary`].
    pub(in crate::ops) fn rotary(&self, qkv: &mut Tensor, heads: HeadLayout, rope: &RopeTable) -> Result<()> {
        let (tokens, stride) = qkv.size2()?;
        let half = rope.cos.size2()?.1;
        let rotated = heads.num_heads + heads.num_kv_heads;
        let f = self.function(Program::Layers, "rotary")?;
        let (px, pc, ps) = (pointer(qkv), pointer(&rope.cos), pointer(&rope.sin));
        let (n, d, half) = (rotated as i32, heads.head_dim as i32, half as i32);
        let mut launch = self.stream.launch_builder(&f);
        launch.arg(&px).arg(&stride).arg(&n).arg(&d).arg(&half).arg(&pc).arg(&ps);
        // SAFETY: as in `rms_norm`; cosines and sines are dense float32 with a row per token (from `RotaryEmbedding`),
        // and twice their columns are at most the head dimension.
        unsafe { launch.launch(config((tokens as usize, 1, 1), row_threads(rotated * heads.head_dim))) }
            .map_err(failed)?;
        Ok(())
    }

    /// Writes the keys and values of merged rows to `slots` (int64, a slot of the pool per row).
    pub(in crate::ops) fn store_kv(
        &self,
        qkv: &Tensor,
        heads: HeadLayout,
        slots: &Tensor,
        kv: LayerKv<'_>,
    ) -> Result<()> {
        let (tokens, stride) = qkv.size2()?;
        let f = self.function(Program::Layers, "store_kv")?;
        let (px, pl, pk, pv) = (pointer(qkv), pointer(slots), pointer(kv.k), pointer(kv.v));
        let (first, columns) = (heads.q_size() as i32, heads.kv_size() as i32);
        let mut launch = self.stream.launch_builder(&f);
        launch.arg(&px).arg(&stride).arg(&first).arg(&columns).arg(&pl).arg(&pk).arg(&pv);
        // SAFETY: as in `rms_norm`; `plan_batch` has checked that slots are in the pool.
        unsafe { launch.launch(config((tokens as usize, 1, 1), row_threads(heads.kv_size()))) }
            .map_err(failed)?;
        Ok(())
    }

    /// `activation(gate) * up` of rows `[gate, up]`.
    pub(in crate::ops) fn act_and_mul(&self, gate_up: &Tensor, activation: GateActivation) -> Result<Tensor> {
        let (rows, columns) = gate_up.size2()?;
        let inner = columns / 2;
        let out = gate_up.f_new_empty([rows, inner], (self.kind, self.device))?;
        let f = self.function(Program::Layers, "act_and_mul")?;
        let (px, po) = (pointer(gate_up), pointer(&out));
        let (n, count, which) = (inner as i32, rows * inner, activation as i32);
        let mut launch = self.stream.launch_builder(&f);
        launch.arg(&px).arg(&po).arg(&n).arg(&count).arg(&which);
        let blocks = (count as usize).div_ceil(256).clamp(1, 16 * self.processors);
        // SAFETY: as in `rms_norm`.
        unsafe { launch.launch(config((blocks, 1, 1), 256)) }.map_err(failed)?;
        Ok(out)
    }

    /// The most likely token of each row of dense float32 logits, the first among equals; `None` for a row with NaN or
    /// an infinite maximum.
    pub(in crate::ops) fn argmax_rows(&self, logits: &Tensor, vocab_size: usize) -> Result<Vec<Option<u32>>> {
        let (rows, width) = logits.size2()?;
        let out = logits.f_new_empty([2, rows], (Kind::Int, self.device))?;
        let f = self.function(Program::Layers, "argmax_rows")?;
        let (px, ids) = (pointer(logits), pointer(&out));
        let (odd, vocab) = (ids + 4 * rows as u64, vocab_size as i32);
        let mut launch = self.stream.launch_builder(&f);
        launch.arg(&px).arg(&width).arg(&vocab).arg(&ids).arg(&odd);
        // SAFETY: as in `rms_norm`; rows have at least `vocab_size` columns, which the caller has checked.
        unsafe { launch.launch(config((rows as usize, 1, 1), 1024)) }.map_err(failed)?;
        let found = Vec::<i32>::try_from(&out.f_to(Device::Cpu)?.f_view([-1])?)?;
        let (ids, odd) = found.split_at(rows as usize);
        Ok(ids.iter().zip(odd).map(|(id, odd)| u32::try_from(*id).ok().filter(|_| *odd == 0)).collect())
    }

    /// Whether [`Self::paged_decode`] supports this layout.
    pub(in crate::ops) fn takes_heads(&self, heads: HeadLayout) -> bool {
        heads.head_dim <= 256 && heads.num_kv_heads > 0
    }

    /// Computes the attention of each request's new token over its positions, whose keys and values are in the pool.
    /// Returns `[requests, num_heads * head_dim]`.
    pub(in crate::ops) fn paged_decode(&self, step: &PagedDecode<'_>) -> Result<Tensor> {
        let (heads, table) = (step.heads, step.table);
        let group = heads.num_heads / heads.num_kv_heads.max(1);
        let lanes = (heads.head_dim.div_ceil(8).next_power_of_two() as u32).clamp(8, 32);
        let at_once = match group {
            1 => 1,
            2 => 2,
            _ => 4,
        };
        let program = Program::PagedAttention { lanes, heads: at_once as u32 };
        let blocks = heads.num_kv_heads * group.div_ceil(at_once) * table.requests;
        let keys = step.options.sliding_window.map_or(table.longest, |w| w.min(table.longest));
        // Enough blocks for two per multiprocessor.
        let splits = (2 * self.processors)
            .div_ceil(blocks.max(1))
            .min(keys.div_ceil(KEYS_PER_SPLIT))
            .clamp(1, MAX_SPLITS);
        let shape = [table.requests as i64, heads.q_size() as i64];
        let out = step.qkv.f_new_empty(shape, (self.kind, self.device))?;
        let rows = (table.requests * heads.num_heads) as i64;
        let partial = if splits > 1 {
            let shape = [rows, splits as i64, heads.head_dim as i64 + 2];
            Some(step.qkv.f_new_empty(shape, (Kind::Float, self.device))?)
        } else {
            None
        };
        let sinks = step.options.sinks.as_ref().map_or(0, pointer);
        let args = DecodeArgs {
            q: pointer(step.qkv),
            q_stride: step.qkv.size2()?.1,
            k_pool: pointer(step.kv.k),
            v_pool: pointer(step.kv.v),
            slots: pointer(&table.slots),
            starts: pointer(&table.starts),
            sinks,
            out: pointer(&out),
            partial: partial.as_ref().map_or(0, pointer),
            kv_heads: heads.num_kv_heads as i32,
            group: group as i32,
            head_dim: heads.head_dim as i32,
            window: step.options.sliding_window.map_or(0, |w| i32::try_from(w).unwrap_or(0)),
            splits: splits as i32,
            scale: step.options.scale as f32,
            cap: step.options.logit_cap.unwrap_or(0.0) as f32,
        };
        let f = self.function(program, "paged_decode")?;
        let grid = (heads.num_kv_heads * group.div_ceil(at_once), table.requests, splits);
        let mut launch = self.stream.launch_builder(&f);
        launch.arg(&args);
        // SAFETY: as in `rms_norm`; the table's slots are in the pool (`plan_batch`), a head has at most `8 * lanes` columns,
        // and `partial` has room for every split.
        unsafe { launch.launch(config(grid, ATTENTION_THREADS)) }.map_err(failed)?;
        if let Some(partial) = &partial {
            let f = self.function(program, "paged_decode_join")?;
            let (pp, po) = (pointer(partial), pointer(&out));
            let (h, s, d) = (heads.num_heads as i32, splits as i32, heads.head_dim as i32);
            let mut launch = self.stream.launch_builder(&f);
            launch.arg(&pp).arg(&sinks).arg(&po).arg(&h).arg(&s).arg(&d);
            // SAFETY: as above.
            unsafe { launch.launch(config((rows as usize, 1, 1), 64)) }.map_err(failed)?;
        }
        Ok(out)
    }
}
