//! Statistics of the planner (reference: `managers/scheduler_components/load_inquirer.py`).

use super::Planner;
use crate::PlannerStats;

impl Planner {
    /// Slots that belong to requests or are pinned in the cache.
    pub(super) fn num_used_tokens(&self) -> usize {
        self.kv.size() - self.kv.available_size() - self.tree.evictable_size()
    }

    /// Seconds that the longest waiting request has waited at `now`; 0 if none waits.
    pub fn longest_wait(&self, now: f64) -> f64 {
        let arrivals = self.waiting.iter().filter_map(|id| self.reqs.get(*id)).map(|req| req.arrived_at);
        arrivals.map(|at| now - at).fold(0.0, f64::max)
    }

    /// The current statistics. Iterates over the waiting queue.
    pub fn stats(&self) -> PlannerStats {
        let totals = &self.totals;
        let hit_rate = match totals.cache_query_tokens {
            0 => 0.0,
            all => totals.cache_hit_tokens as f64 / all as f64,
        };
        let waiting = || self.waiting.iter().filter_map(|id| self.reqs.get(*id));
        let chunk_left = self
            .chunked
            .and_then(|id| self.reqs.get(id))
            .map_or(0, |req| req.fill_len.saturating_sub(self.kv_len(req)));
        let waiting_tokens: usize = waiting().map(|req| req.tokens.len()).sum();
        let num_used_tokens = self.num_used_tokens();
        PlannerStats {
            num_running_reqs: self.running.len() + usize::from(self.chunked.is_some()),
            num_running_adapters: self.num_running_adapters(),
            num_waiting_reqs: self.waiting.len(),
            num_waiting_retracted_reqs: waiting().filter(|req| req.retraction_count > 0).count(),
            num_pending_tokens: waiting_tokens + chunk_left,
            num_waiting_uncached_tokens: (waiting_tokens as f64 * (1.0 - hit_rate)) as usize + chunk_left,
            num_used_tokens,
            num_total_tokens: num_used_tokens + waiting_tokens,
            num_evictable_tokens: self.tree.evictable_size(),
            num_protected_tokens: self.tree.protected_size(),
            max_total_num_tokens: self.kv.size(),
            max_running_requests: self.config.max_running_requests,
            max_micro_batch_size: self.rows.limit(),
            token_usage: num_used_tokens as f64 / self.kv.size().max(1) as f64,
            cache_hit_rate: hit_rate,
            cache_query_tokens: totals.cache_query_tokens,
            cache_hit_tokens: totals.cache_hit_tokens,
            new_token_ratio: self.ratio.current(),
            total_steps: totals.steps,
            total_prefill_tokens: totals.prefill_tokens,
            total_output_tokens: totals.output_tokens,
            total_requests: totals.requests,
            total_finished: totals.finished,
            total_retractions: totals.retractions,
            num_in_flight: self.in_flight.len(),
            paused: self.is_paused(),
        }
    }
}
