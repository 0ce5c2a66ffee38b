//! Resolves `--device`, `--dtype` and `--scheduler-threads`.

use std::path::Path;

use tch::{Device, Kind};

use crate::error::{ModelError, Result};
use crate::torch_cuda;

/// Resolves `auto`, `cpu`, `cuda` or `cuda:N`. `auto` uses the first GPU if libtorch's CUDA library can be loaded,
/// otherwise the CPU, and logs the choice.
///
/// # Errors
/// The value is none of these, or the requested GPU cannot be used; the text says what is missing.
pub fn resolve_device(value: &str) -> Result<Device> {
    let fail = |why: String| ModelError::Option { flag: "device", value: value.to_owned(), why };
    match value {
        "cpu" => Ok(Device::Cpu),
        "auto" => {
            if !has_nvidia_device() {
                tracing::info!("no NVIDIA device, the model runs on the CPU");
                return Ok(Device::Cpu);
            }
            Ok(match torch_cuda::load() {
                Ok(_) => Device::Cuda(0),
                Err(why) => {
                    tracing::info!("the model runs on the CPU: {why}");
                    Device::Cpu
                }
            })
        }
        _ => {
            let index = match value.strip_prefix("cuda") {
                Some("") => Some(0),
                Some(rest) => rest.strip_prefix(':').and_then(|n| n.parse::<usize>().ok()),
                None => None,
            };
            let index = index.ok_or_else(|| fail("expected auto, cpu, cuda or cuda:N".to_owned()))?;
            let count = torch_cuda::load().map_err(&fail)?;
            if i64::try_from(index).is_ok_and(|i| i < count) {
                Ok(Device::Cuda(index))
            } else {
                Err(fail(format!("there are {count} GPUs, numbered from 0")))
            }
        }
    }
}

/// Whether the kernel driver shows a GPU. This check is free, while loading libtorch's CUDA library takes a second.
fn has_nvidia_device() -> bool {
    ["/dev/nvidiactl", "/dev/dxg"].iter().any(|p| Path::new(p).exists())
}

/// `cpu` or `cuda:N`.
pub fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(n) => format!("cuda:{n}"),
        _ => "cpu".to_owned(),
    }
}

/// Number format of activations and KV cache, from `--dtype` and the checkpoint's type (`torch_dtype`). On a CPU,
/// `auto` always means float32: CPUs without native 16-bit arithmetic are a hundred times slower in bfloat16. On a GPU,
/// `auto` keeps bfloat16 and turns everything else into float16, as in the reference.
///
/// # Errors
/// The name is unknown.
pub fn resolve_dtype(value: &str, checkpoint: Option<&str>, device: Device) -> Result<Kind> {
    match value {
        "float32" | "float" => Ok(Kind::Float),
        "bfloat16" => Ok(Kind::BFloat16),
        "float16" | "half" => Ok(Kind::Half),
        "auto" if device == Device::Cpu => Ok(Kind::Float),
        "auto" if checkpoint == Some("bfloat16") => Ok(Kind::BFloat16),
        "auto" => Ok(Kind::Half),
        _ => Err(ModelError::Option {
            flag: "dtype",
            value: value.to_owned(),
            why: "expected auto, float32, bfloat16 or float16".to_owned(),
        }),
    }
}

/// The name of a number format, as `--dtype` takes it.
pub fn dtype_name(kind: Kind) -> &'static str {
    match kind {
        Kind::BFloat16 => "bfloat16",
        Kind::Half => "float16",
        _ => "float32",
    }
}

/// Name of a number format in messages.
pub(crate) fn number_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Float => "float32",
        Kind::Double => "float64",
        Kind::Half => "float16",
        Kind::BFloat16 => "bfloat16",
        Kind::Int => "int32",
        Kind::Int64 => "int64",
        Kind::Int8 => "int8",
        Kind::Uint8 => "uint8",
        Kind::Bool => "bool",
        _ => "another kind of number",
    }
}

/// Sets and returns the number of libtorch's threads: `asked`, or one per core.
pub fn set_threads(asked: Option<usize>) -> usize {
    let threads = asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get())).max(1);
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
    threads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_dtype_is_float32_on_a_cpu_and_sixteen_bits_on_a_gpu() {
        assert_eq!(resolve_dtype("auto", Some("bfloat16"), Device::Cpu).unwrap(), Kind::Float);
        assert_eq!(resolve_dtype("auto", Some("bfloat16"), Device::Cuda(0)).unwrap(), Kind::BFloat16);
        assert_eq!(resolve_dtype("auto", Some("float32"), Device::Cuda(0)).unwrap(), Kind::Half);
        assert_eq!(resolve_dtype("half", None, Device::Cpu).unwrap(), Kind::Half);
        for name in ["float32", "bfloat16", "float16"] {
            assert_eq!(dtype_name(resolve_dtype(name, None, Device::Cpu).unwrap()), name);
        }
        assert!(resolve_dtype("int8", None, Device::Cpu).unwrap_err().to_string().contains("--dtype int8"));
    }

    #[test]
    fn a_device_that_does_not_exist_is_refused_with_what_would_be_valid() {
        for value in ["gpu", "cuda:", "cuda:x", "cudax"] {
            let text = resolve_device(value).unwrap_err().to_string();
            assert!(text.contains(value) && text.contains("expected auto, cpu, cuda or cuda:N"), "{text}");
        }
        assert_eq!(resolve_device("cpu").unwrap(), Device::Cpu);
    }

    #[test]
    fn cuda_without_a_driver_names_the_driver() {
        if has_nvidia_device() {
            return;
        }
        let text = resolve_device("cuda").unwrap_err().to_string();
        assert!(text.starts_with("--device cuda: ") && text.contains("driver"), "{text}");
        assert_eq!(resolve_device("auto").unwrap(), Device::Cpu);
    }
}
