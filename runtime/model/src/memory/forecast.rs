//! One log line before loading that estimates the memory of weights, KV cache and requests.

use std::fmt;

use super::budget::KvBudget;

/// Sizes known before the weights are loaded. The size of the weights is an estimate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryForecast {
    /// The budget, with the memory that the weights leave.
    pub(crate) budget: KvBudget,
    /// Tokens in the pool; `None` if there is no room.
    pub(crate) tokens: Option<u32>,
    /// `--mem-fraction-static` or its default.
    pub(crate) fraction: f64,
    /// Whether `--max-total-tokens` is given.
    pub(crate) is_asked: bool,
}

impl fmt::Display for MemoryForecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KvBudget { bytes_per_token, free_bytes, weight_bytes, context_length, max_running_requests } =
            self.budget;
        let gb = |bytes: u64| Gigabytes(bytes);
        write!(f, "Memory: {} free, weights about {}", gb(free_bytes + weight_bytes), gb(weight_bytes))?;
        let Some(tokens) = self.tokens else {
            let share = self.fraction;
            return write!(
                f,
                ", no room left for the KV cache (--mem-fraction-static {share}, --max-total-tokens)"
            );
        };
        let by = match self.is_asked {
            true => "--max-total-tokens".to_owned(),
            false => format!("--mem-fraction-static {}, or --max-total-tokens", self.fraction),
        };
        let total = gb(u64::from(tokens) * bytes_per_token);
        write!(
            f,
            ", KV cache {total} for {tokens} tokens of {:.1} kB ({by}); ",
            bytes_per_token as f64 / 1e3
        )?;
        let longest = context_length.min(tokens);
        let each = gb(u64::from(longest) * bytes_per_token);
        let fit = (tokens / longest.max(1)).min(max_running_requests);
        write!(
            f,
            "a request has up to {longest} tokens in {each} (--context-length), {fit} of that length fit, and at most \
             {max_running_requests} run at once (--max-running-requests)"
        )
    }
}

/// Displays bytes as GB, or as MB below 1 GB.
struct Gigabytes(u64);

impl fmt::Display for Gigabytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            few @ 0..1_000_000_000 => write!(f, "{:.1} MB", few as f64 / 1e6),
            many => write!(f, "{:.2} GB", many as f64 / 1e9),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_takes_memory_what_fits_and_which_flags_change_it() {
        let budget = KvBudget {
            bytes_per_token: 46_080,
            free_bytes: 22_000_000_000,
            weight_bytes: 134_500_000,
            context_length: 8192,
            max_running_requests: 256,
        };
        let forecast = MemoryForecast { budget, tokens: Some(380_000), fraction: 0.8, is_asked: false };
        assert_eq!(
            forecast.to_string(),
            "Memory: 22.13 GB free, weights about 134.5 MB, KV cache 17.51 GB for 380000 tokens of 46.1 kB \
             (--mem-fraction-static 0.8, or --max-total-tokens); a request has up to 8192 tokens in 377.5 MB \
             (--context-length), 46 of that length fit, and at most 256 run at once (--max-running-requests)"
        );
        let asked = MemoryForecast { tokens: Some(1000), is_asked: true, ..forecast };
        let text = asked.to_string();
        assert!(text.contains("KV cache 46.1 MB for 1000 tokens of 46.1 kB (--max-total-tokens);"), "{text}");
        assert!(
            text.contains("a request has up to 1000 tokens in 46.1 MB") && text.contains(", 1 of that"),
            "{text}"
        );
        let none = MemoryForecast { tokens: None, ..forecast }.to_string();
        assert!(
            none.ends_with("no room left for the KV cache (--mem-fraction-static 0.8, --max-total-tokens)"),
            "{none}"
        );
    }
}
