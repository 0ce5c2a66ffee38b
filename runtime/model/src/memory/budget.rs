//! How many tokens the KV pool holds.

use sglang_proto::server_args::DEFAULT_MEM_FRACTION_STATIC as DEFAULT_FRACTION;
use tch::Device;

use crate::error::{ModelError, Result};
use crate::torch_cuda;

/// Largest pool that is chosen without being asked for, on a CPU. Host memory is shared with everything else on the
/// machine, unlike a GPU's.
const CPU_DEFAULT_BYTES: u64 = 2 << 30;
/// What the pool's size depends on.
#[derive(Clone, Copy, Debug)]
pub struct KvBudget {
    /// Bytes of one token over all layers, keys and values.
    pub bytes_per_token: u64,
    /// Bytes of memory that are free on the device, the weights already being there.
    pub free_bytes: u64,
    /// Bytes of the weights.
    pub weight_bytes: u64,
    /// Most tokens of one request.
    pub context_length: u32,
    /// Most requests at once.
    pub max_running_requests: u32,
    /// Whether the device is the host's CPU.
    pub on_cpu: bool,
}

impl KvBudget {
    /// Tokens in the pool: `--max-total-tokens` when given; else what `mem_fraction_static` of the memory leaves beside
    /// the weights; else, on a CPU, no more than 2 GiB and no more than all requests at full length could use. The
    /// result is a multiple of `page_size`.
    ///
    /// # Errors
    /// No room for a single page, or an asked-for size that is larger than the memory.
    pub fn tokens(&self, asked: Option<u32>, fraction: Option<f64>, page_size: u32) -> Result<u32> {
        let per_token = self.bytes_per_token.max(1);
        let whole_pages = |tokens: u64| {
            let page = u64::from(page_size.max(1));
            // One slot more than the tokens exists, and slots are u32.
            u32::try_from((tokens / page * page).min(u64::from(u32::MAX) / 2 / page * page)).unwrap_or(0)
        };
        if let Some(asked) = asked {
            let tokens = whole_pages(u64::from(asked));
            let fits = self.free_bytes / per_token;
            if tokens == 0 || u64::from(tokens) > fits {
                return Err(ModelError::Option {
                    flag: "max-total-tokens",
                    value: asked.to_string(),
                    why: format!(
                        "a token takes {per_token} bytes of KV cache, so that the free memory holds {fits}; expected {} to \
                         that",
                        page_size.max(1)
                    ),
                });
            }
            return Ok(tokens);
        }
        let total = (self.free_bytes + self.weight_bytes) as f64 * fraction.unwrap_or(DEFAULT_FRACTION);
        let mut bytes = (total as u64).saturating_sub(self.weight_bytes);
        if self.on_cpu && fraction.is_none() {
            bytes = bytes.min(CPU_DEFAULT_BYTES);
        }
        let most = u64::from(self.context_length) * u64::from(self.max_running_requests);
        match whole_pages((bytes / per_token).min(most.max(u64::from(page_size)))) {
            0 => Err(ModelError::Option {
                flag: "mem-fraction-static",
                value: fraction.unwrap_or(DEFAULT_FRACTION).to_string(),
                why: format!(
                    "{} bytes of weights leave no room for the KV cache in {} bytes of free memory",
                    self.weight_bytes, self.free_bytes
                ),
            }),
            tokens => Ok(tokens),
        }
    }
}

/// Bytes of memory that are free on a device.
pub(crate) fn free_bytes(device: Device) -> u64 {
    match device {
        Device::Cuda(index) => torch_cuda::free_bytes(index).unwrap_or(0),
        _ => available_host_bytes(),
    }
}

/// Bytes of host memory that can be taken without swapping (`MemAvailable`), bounded by the control group's limit.
fn available_host_bytes() -> u64 {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = meminfo
        .lines()
        .find_map(|l| l.strip_prefix("MemAvailable:"))
        .and_then(|l| l.split_whitespace().next())
        .and_then(|n| n.parse::<u64>().ok());
    // Without /proc, one plain assumption: 4 GiB.
    let host = kib.map_or(4 << 30, |k| k * 1024);
    match control_group_free("/sys/fs/cgroup") {
        Some(free) => host.min(free),
        None => host,
    }
}

/// What a control group's memory limit leaves (version 2, then 1), cached file pages counting as free.
fn control_group_free(root: &str) -> Option<u64> {
    let read = |name: &str| std::fs::read_to_string(format!("{root}/{name}")).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    let versions = [
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        (
            "memory/memory.limit_in_bytes",
            "memory/memory.usage_in_bytes",
            "memory/memory.stat",
            "total_inactive_file",
        ),
    ];
    versions.into_iter().find_map(|(limit, used, stat, cached)| {
        let (limit, used) = (number(limit)?, number(used)?);
        let cached =
            read(stat)?.lines().find_map(|l| l.strip_prefix(cached)?.trim().parse::<u64>().ok()).unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(cached)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> KvBudget {
        KvBudget {
            bytes_per_token: 1 << 16,
            free_bytes: 64 << 30,
            weight_bytes: 1 << 30,
            context_length: 8192,
            max_running_requests: 64,
            on_cpu: true,
        }
    }

    #[test]
    fn a_cpu_takes_two_gibibytes_unless_told_otherwise() {
        assert_eq!(budget().tokens(None, None, 1).unwrap(), 1 << 15);
        assert_eq!(budget().tokens(Some(1000), None, 16).unwrap(), 992);
        // Half of 65 GiB, less the weights: 31.5 GiB; bounded by 64 requests of 8192 tokens.
        assert_eq!(budget().tokens(None, Some(0.5), 1).unwrap(), 504 << 10);
        let small = KvBudget { max_running_requests: 1, ..budget() };
        assert_eq!(small.tokens(None, None, 1).unwrap(), 8192);
    }

    #[test]
    fn a_gpu_takes_its_fraction() {
        let gpu = KvBudget { on_cpu: false, max_running_requests: 1000, ..budget() };
        let tokens = gpu.tokens(None, None, 1).unwrap();
        assert_eq!(u64::from(tokens), ((65.0 * 0.8 - 1.0) * (1u64 << 30) as f64) as u64 >> 16);
    }

    #[test]
    fn a_pool_larger_than_the_memory_is_refused_with_the_flag() {
        let text = budget().tokens(Some(u32::MAX), None, 1).unwrap_err().to_string();
        assert!(
            text.starts_with("--max-total-tokens 4294967295: ") && text.contains("holds 1048576"),
            "{text}"
        );
        let full = KvBudget { free_bytes: 0, ..budget() };
        let text = full.tokens(None, Some(0.9), 1).unwrap_err().to_string();
        assert!(text.starts_with("--mem-fraction-static 0.9: "), "{text}");
    }

    #[test]
    fn a_control_groups_cached_pages_count_as_free() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(root.path().join(name), text).unwrap();
        let path = root.path().to_str().unwrap();
        assert_eq!(control_group_free(path), None);
        write("memory.max", "max\n");
        write("memory.current", "900\n");
        write("memory.stat", "anon 100\ninactive_file 700\n");
        assert_eq!(control_group_free(path), None);
        write("memory.max", "1000\n");
        assert_eq!(control_group_free(path), Some(800));
    }

    #[test]
    fn the_host_has_memory() {
        assert!(available_host_bytes() > 1 << 20);
    }
}
