//! Computes the size of the KV pool in tokens.

use sglang_server_args::DEFAULT_MEM_FRACTION_STATIC as DEFAULT_FRACTION;

use crate::error::{ModelError, Result};

/// The inputs for the size of the pool.
#[derive(Clone, Copy, Debug)]
pub struct KvBudget {
    /// Bytes of the keys and values of one token in all layers.
    pub bytes_per_token: u64,
    /// Free bytes on the device after loading the weights.
    pub free_bytes: u64,
    /// Bytes of the weights.
    pub weight_bytes: u64,
    /// Most tokens of one request.
    pub context_length: u32,
    /// Most requests at once.
    pub max_running_requests: u32,
}

impl KvBudget {
    /// Tokens in the pool: `--max-total-tokens` if given; otherwise what the fraction `mem_fraction_static` of memory
    /// leaves after the weights, but no more than all requests at full length could use. The result is a multiple of
    /// `page_size`. On a CPU, the pool only takes memory when it is used.
    ///
    /// # Errors
    /// There is no room for a single page, or the requested size exceeds the memory.
    pub fn tokens(&self, asked: Option<u32>, fraction: Option<f64>, page_size: u32) -> Result<u32> {
        let per_token = self.bytes_per_token.max(1);
        let whole_pages = |tokens: u64| {
            let page = u64::from(page_size.max(1));
            // There is one slot more than tokens, and slot numbers are u32.
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
        let fraction = fraction.unwrap_or(DEFAULT_FRACTION);
        let total = (self.free_bytes + self.weight_bytes) as f64 * fraction;
        let bytes = (total as u64).saturating_sub(self.weight_bytes);
        let most = u64::from(self.context_length) * u64::from(self.max_running_requests);
        match whole_pages((bytes / per_token).min(most.max(u64::from(page_size)))) {
            0 => Err(ModelError::Option {
                flag: "mem-fraction-static",
                value: fraction.to_string(),
                why: format!(
                    "{} bytes of weights leave no room in this share of the memory for the KV cache, {} bytes being free \
                     beside them; a larger share may, and --max-total-tokens asks for so many tokens whatever the share",
                    self.weight_bytes, self.free_bytes
                ),
            }),
            tokens => Ok(tokens),
        }
    }
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
        }
    }

    #[test]
    fn the_pool_is_what_the_share_leaves_and_what_requests_can_use() {
        // 0.8 of 65 GiB minus the weights is 51 GiB; the limit is 64 requests of 8192 tokens, 32 GiB.
        assert_eq!(budget().tokens(None, None, 1).unwrap(), 64 * 8192);
        let crowded = KvBudget { free_bytes: 3 << 30, ..budget() };
        let share = (4.0 * 0.8 - 1.0) * (1u64 << 30) as f64;
        assert_eq!(u64::from(crowded.tokens(None, None, 1).unwrap()), share as u64 >> 16);
        assert_eq!(budget().tokens(Some(1000), None, 16).unwrap(), 992);
        // Half of 65 GiB minus the weights is 31.5 GiB, just below 64 requests of 8192 tokens.
        assert_eq!(budget().tokens(None, Some(0.5), 1).unwrap(), 504 << 10);
        let small = KvBudget { max_running_requests: 1, ..budget() };
        assert_eq!(small.tokens(None, None, 1).unwrap(), 8192);
    }

    #[test]
    fn many_requests_take_the_whole_share() {
        let gpu = KvBudget { max_running_requests: 1000, ..budget() };
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
        assert!(
            text.starts_with("--mem-fraction-static 0.9: ") && text.contains("--max-total-tokens"),
            "{text}"
        );
    }
}
