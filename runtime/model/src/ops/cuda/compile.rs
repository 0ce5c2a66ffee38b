//! Compiles CUDA source with NVRTC at run time, so building this crate does not need CUDA.

use cudarc::nvrtc::{CompileError, CompileOptions, Ptx, compile_ptx_with_opts};
use tch::Kind;

use crate::device::number_name;
use crate::torch_cuda;

const COMMON: &str = include_str!("common.cuh");
const LAYERS: &str = include_str!("layers.cu");
const PAGED_ATTENTION: &str = include_str!("paged_attention.cu");

/// A compilation unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Program {
    /// `layers.cu`.
    Layers,
    /// `paged_attention.cu` for heads of at most `8 * lanes` columns, `heads` query heads at a time.
    PagedAttention {
        /// Threads per key: 8, 16 or 32.
        lanes: u32,
        /// Query heads per block.
        heads: u32,
    },
}

/// The name of a number format in the sources; `None` if the kernels do not support it.
fn scalar(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Float => Some("float"),
        Kind::Half => Some("f16"),
        Kind::BFloat16 => Some("bf16"),
        _ => None,
    }
}

/// Compiles a program for GPUs of a compute capability (`90` is 9.0) and activations of `kind`.
///
/// # Errors
/// NVRTC is missing, or compilation fails (with NVRTC's log).
pub(super) fn compile(program: Program, kind: Kind, capability: i32) -> Result<Ptx, String> {
    let scalar = scalar(kind).ok_or_else(|| format!("no kernels for {}", number_name(kind)))?;
    torch_cuda::load_nvrtc()?;
    let mut options =
        vec![format!("--gpu-architecture=compute_{capability}"), format!("--define-macro=SCALAR={scalar}")];
    let body = match program {
        Program::Layers => LAYERS,
        Program::PagedAttention { lanes, heads } => {
            options.push(format!("--define-macro=LANES={lanes}"));
            options.push(format!("--define-macro=H={heads}"));
            PAGED_ATTENTION
        }
    };
    let options = CompileOptions { options, ..CompileOptions::default() };
    compile_ptx_with_opts([COMMON, body].concat(), options).map_err(|e| {
        let what = match program {
            Program::Layers => "the layers' kernels".to_owned(),
            Program::PagedAttention { lanes, heads } => {
                format!("the attention kernel of {lanes} lanes and {heads} heads")
            }
        };
        let why = match e {
            CompileError::CompileError { log, .. } => log.to_string_lossy().into_owned(),
            other => other.to_string(),
        };
        format!("{what} for {} do not compile: {why}", number_name(kind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_compiles_for_every_number_format() {
        let programs = [Program::Layers, Program::PagedAttention { lanes: 8, heads: 4 }];
        for kind in [Kind::Float, Kind::Half, Kind::BFloat16] {
            for program in programs {
                let ptx = compile(program, kind, 80).unwrap().to_src();
                let entry =
                    if program == Program::Layers { "fused_add_rms_norm" } else { "paged_decode_join" };
                assert!(ptx.contains(&format!(".entry {entry}")), "{program:?} {kind:?}");
            }
        }
        for (lanes, heads) in [(8, 1), (16, 2), (32, 4)] {
            compile(Program::PagedAttention { lanes, heads }, Kind::BFloat16, 90).unwrap();
        }
        assert!(compile(Program::Layers, Kind::Int64, 90).unwrap_err().contains("int64"));
    }
}
