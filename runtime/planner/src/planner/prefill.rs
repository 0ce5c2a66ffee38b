//! Plans prefill steps: which waiting requests start, and how much of their prompts is computed.

use ahash::AHashSet;

use super::Planner;
use super::batch::BatchBuilder;
use super::plan::Planned;
use super::preempt::Preemption;
use crate::admission::{PrefillBudget, StopAdmission, fits_to_the_end};
use crate::policy::{Candidate, PrefixKey, prefix_key};
use crate::radix_cache::NodeId;
use crate::req::{Req, ReqState};

impl Planner {
    /// Fills the batch with the next chunk of the chunked request and with waiting requests in the policy's order.
    pub(super) fn plan_prefill(&mut self, builder: &mut BatchBuilder) -> Planned {
        if self.running.is_empty() || self.preempts() {
            self.batch_is_full = false;
        }
        let may_admit = !self.admission_held && !self.batch_is_full && !self.waiting.is_empty();
        if !may_admit && self.chunked.is_none() {
            return Planned::Nothing;
        }
        let decoding = if self.config.enable_mixed_chunk { self.decodable() } else { Vec::new() };
        let mut budget = self.prefill_budget(decoding.len());
        let mut started = Vec::new();
        if let Some(id) = self.chunked {
            self.continue_chunk(builder, &mut budget, id, &mut started);
        }
        let mut planned = Planned::Nothing;
        if may_admit && self.chunked.is_none() {
            planned = self.admit_waiting(builder, &mut budget, &mut started);
        }
        if builder.is_empty() {
            return planned;
        }
        if !decoding.is_empty() {
            // Preemption may have removed some.
            let decoding = self.decodable();
            if self.make_room(self.decode_tokens(&decoding)) {
                self.push_decode_rows(builder, &decoding);
            }
        }
        let sat_out = self.chunked.is_some()
            || (self.config.contended_prefill_size.is_some() && !self.running.is_empty());
        self.decode_owed = sat_out && builder.report.num_decode_reqs == 0;
        self.running.extend(started);
        Planned::Work
    }

    /// Most tokens of this step; fewer while other requests decode.
    fn prefill_size(&self) -> Option<usize> {
        let contended = self.config.contended_prefill_size.filter(|_| !self.running.is_empty());
        self.config.chunked_prefill_size.map(|size| size.min(contended.unwrap_or(size)))
    }

    /// The budget of this step, after what running requests are expected to need.
    fn prefill_budget(&self, mixed_decode_tokens: usize) -> PrefillBudget {
        let config = &self.config;
        let mut budget = PrefillBudget::new(
            config.page_size,
            config.tuning.clip_max_new_tokens,
            config.max_prefill_tokens,
            self.prefill_size(),
            mixed_decode_tokens,
        );
        budget.total_offset +=
            self.running.iter().filter_map(|id| self.reqs.get(*id)).map(|r| self.expects(r)).sum::<f64>();
        budget
    }

    /// Tokens that a running request is expected to need. A request that ignores the end of sequence needs all.
    pub(super) fn expects(&self, req: &Req) -> f64 {
        let ratio = if req.params.ignore_eos { 1.0 } else { self.ratio.current() };
        req.remaining_new_tokens().min(self.config.tuning.clip_max_new_tokens) as f64 * ratio
    }

    /// Admits waiting requests until a budget is exhausted.
    fn admit_waiting(
        &mut self,
        builder: &mut BatchBuilder,
        budget: &mut PrefillBudget,
        started: &mut Vec<usize>,
    ) -> Planned {
        let deferred = self.sort_waiting();
        let mut preempted = Vec::new();
        let mut planned = Planned::Nothing;
        let mut adapters = self.running_adapters(started);
        let mut at = 0;
        while let Some(id) = self.waiting.get(at).copied() {
            if self.config.prefill_max_requests.is_some_and(|max| budget.admitted >= max) {
                break;
            }
            if deferred.contains(&id) && self.is_being_prefilled(builder, id) {
                at += 1;
                continue;
            }
            if adapters.as_ref().is_some_and(|running| !self.adapter_fits(running, id)) {
                at += 1;
                continue;
            }
            let mut verdict = self.admit(builder, budget, id, started);
            if let Err(StopAdmission::NoRow | StopAdmission::NoToken) = verdict {
                match self.preempt_to_schedule(id, budget, &mut preempted) {
                    Preemption::Done => verdict = self.admit(builder, budget, id, started),
                    Preemption::NeedsResult => planned = Planned::NeedsResult,
                    Preemption::No => {}
                }
            }
            match verdict {
                Ok(()) => {
                    self.waiting.remove(at);
                    if adapters.is_some() {
                        adapters = self.running_adapters(started);
                    }
                }
                Err(stop) => {
                    self.batch_is_full |= stop == StopAdmission::NoRow
                        || (stop == StopAdmission::NoToken
                            && !(builder.is_empty() && self.running.is_empty()));
                    break;
                }
            }
            if self.chunked.is_some() {
                break;
            }
        }
        for id in preempted {
            self.enqueue(id);
        }
        if builder.is_empty() { planned } else { Planned::Work }
    }

    /// Sorts the queue by the policy. Returns the requests that should wait because another is computing their prefix.
    fn sort_waiting(&mut self) -> AHashSet<usize> {
        let prefilling: AHashSet<PrefixKey> = self
            .in_flight
            .iter()
            .flat_map(|batch| &batch.entries)
            .filter_map(|entry| entry.prefix_key)
            .collect();
        let (reqs, admitted) = (&self.reqs, self.totals.admitted);
        self.policy.sort(&mut self.waiting, &self.tree, &prefilling, |id| {
            let req = &reqs[id];
            Candidate {
                tokens: &req.tokens,
                namespace: &req.namespace,
                max_new_tokens: req.max_new_tokens,
                priority: req.priority,
                arrival: req.arrival,
                overdue: admitted >= req.overdue_at,
            }
        })
    }

    /// Whether this batch or one in flight computes a prefix that the request could reuse.
    fn is_being_prefilled(&self, builder: &BatchBuilder, id: usize) -> bool {
        let key = self.reqs.get(id).and_then(|r| prefix_key(&r.namespace, &r.tokens, self.config.page_size));
        let Some(key) = key else { return false };
        builder.prefix_keys.contains(&key)
            || self
                .in_flight
                .iter()
                .flat_map(|batch| &batch.entries)
                .any(|entry| entry.prefix_key == Some(key))
    }

    /// Admits one waiting request: pins its cached prefix, allocates row and slots, and adds it to the batch.
    fn admit(
        &mut self,
        builder: &mut BatchBuilder,
        budget: &mut PrefillBudget,
        id: usize,
        started: &mut Vec<usize>,
    ) -> Result<(), StopAdmission> {
        if self.rows.available_size() == 0 {
            return Err(StopAdmission::NoRow);
        }
        budget.check(self.available_tokens())?;
        let req = &self.reqs[id];
        let found = self.tree.match_prefix(&req.namespace, &req.tokens[..req.max_prefix_len()]);
        // Pin it first: the prefix must not count as evictable.
        self.tree.lock(found.node);
        let part = self.select(budget, id, found.len, builder, started);
        let row = part.and_then(|part| self.allocate(found.node, part));
        let (row, part) = match row {
            Ok(row) => row,
            Err(stop) => {
                self.tree.unlock(found.node);
                return Err(stop);
            }
        };
        let fill_len = self.reqs[id].tokens.len();
        let whole = found.len + part == fill_len;
        self.totals.admitted += 1;
        self.totals.cache_query_tokens += fill_len as u64;
        self.totals.cache_hit_tokens += found.len as u64;
        let req = &mut self.reqs[id];
        if req.cached_tokens.is_none() {
            req.cached_tokens = Some(found.len);
            self.tree.count_hit(found.node, req.priority);
        }
        req.row = Some(row);
        req.lock = Some(found.node);
        req.protected_len = found.len;
        req.kv_done = found.len;
        req.fill_len = fill_len;
        req.state = if whole { ReqState::Running } else { ReqState::Prefilling };
        req.times.enter_forward(self.now);
        budget.reserve(part, if whole { req.remaining_new_tokens() } else { 0 });
        if whole {
            started.push(id);
        } else {
            self.chunked = Some(id);
        }
        self.push_entry(builder, id, found.len, true);
        Ok(())
    }

    /// Number of a request's uncached tokens that go into this step.
    fn select(
        &self,
        budget: &PrefillBudget,
        id: usize,
        prefix_len: usize,
        builder: &BatchBuilder,
        started: &[usize],
    ) -> Result<usize, StopAdmission> {
        let req = &self.reqs[id];
        let extend_len = req.tokens.len() - prefix_len;
        let alone = self.running.is_empty() && started.is_empty() && self.chunked.is_none();
        // A request that is alone is always admitted, otherwise it would wait forever.
        if !(req.params.ignore_eos && self.tree.is_disabled()) || alone {
            return budget.select(
                self.available_tokens(),
                prefix_len,
                extend_len,
                req.remaining_new_tokens(),
            );
        }
        let page_size = self.config.page_size;
        let input = extend_len.next_multiple_of(page_size) + page_size;
        // Requests admitted to this step already have their slots; one more page is reserved for each.
        let free =
            self.kv.available_size() as f64 - (builder.entries.len() * page_size) as f64 - input as f64;
        let others = self.running.iter().chain(started).chain(&self.chunked).chain([&id]);
        let mut states: Vec<(f64, usize)> = others
            .filter_map(|id| self.reqs.get(*id))
            .filter(|r| r.remaining_new_tokens() > 0)
            .map(|r| (self.expects_to_the_end(r), r.tokens.len()))
            .collect();
        if free < 0.0 || !fits_to_the_end(free, &mut states) {
            return Err(StopAdmission::NoToken);
        }
        budget.split(prefix_len, extend_len)
    }

    /// Like [`Planner::expects`], but without clipping.
    fn expects_to_the_end(&self, req: &Req) -> f64 {
        let ratio = if req.params.ignore_eos { 1.0 } else { self.ratio.current() };
        (req.max_new_tokens as f64 * ratio - req.output_len() as f64).max(0.0)
    }

    /// Allocates a row with the slots of the pinned prefix and `part` new ones.
    fn allocate(&mut self, node: NodeId, part: usize) -> Result<(u32, usize), StopAdmission> {
        let row = self.rows.alloc().ok_or(StopAdmission::NoRow)?;
        let Some(slots) = self.rows.row_mut(row) else { return Err(StopAdmission::NoRow) };
        self.tree.path_slots(node, slots);
        let need = self.kv.new_page_tokens(slots.len(), part);
        let fits = self.make_room(need);
        let extended = fits && self.rows.row_mut(row).is_some_and(|slots| self.kv.extend(slots, part));
        if !extended {
            self.rows.free(row);
            return Err(StopAdmission::NoToken);
        }
        Ok((row, part))
    }

    /// Plans the next chunk of the chunked request, as far as memory allows. Without room, the request skips this step.
    fn continue_chunk(
        &mut self,
        builder: &mut BatchBuilder,
        budget: &mut PrefillBudget,
        id: usize,
        started: &mut Vec<usize>,
    ) {
        let available = self.available_tokens();
        let (Some(req), page_size) = (self.reqs.get(id), self.config.page_size) else { return };
        let Some(row) = req.row else { return };
        let (from, fill_len) = (self.kv_len(req), req.fill_len);
        let left = fill_len - from;
        let chunk = budget.rem_chunk_tokens.unwrap_or(left);
        // Keep what decoding requests are expected to need, unless nothing would be left for the chunk.
        let spare = available as f64 - budget.total_offset;
        let room = if spare >= page_size as f64 { spare as usize } else { available };
        let mut part = left.min(chunk).min(room);
        if part < left {
            part = ((from + part) / page_size * page_size).saturating_sub(from);
        } else if self.kv.new_page_tokens(from, part) > available {
            part = (available / page_size * page_size).min(part);
        }
        if part == 0 || !self.make_room(self.kv.new_page_tokens(from, part)) {
            return;
        }
        let extended = self.rows.row_mut(row).is_some_and(|slots| self.kv.extend(slots, part));
        if !extended {
            self.faults.push(format!("no slots for a chunk of row {row} although room was made"));
            return;
        }
        let whole = part == left;
        if let Some(req) = self.reqs.get_mut(id) {
            budget.reserve(part, if whole { req.remaining_new_tokens() } else { 0 });
            if whole {
                req.state = ReqState::Running;
                self.chunked = None;
                started.push(id);
            }
        }
        self.push_entry(builder, id, from, false);
    }

    /// Adds the computed prefix of a running request to the tree, so that other requests can use it. If another request
    /// has stored the same tokens meanwhile, this one keeps its own copy until it ends.
    pub(super) fn share_prefix(&mut self, id: usize) {
        let Some(req) = self.reqs.get_mut(id) else { return };
        let (Some(row), Some(lock)) = (req.row, req.lock) else { return };
        let done = req.kv_done.min(req.tokens.len());
        let (from, slots) = (req.protected_len, self.rows.row(row));
        let own = self.tree.append(lock, &req.tokens[from..done], &slots[from..done], req.priority);
        if let Some((leaf, taken)) = own {
            self.tree.lock(leaf);
            self.tree.unlock(lock);
            req.lock = Some(leaf);
            req.protected_len += taken;
        }
    }

    /// Whether preemption is enabled.
    pub(super) fn preempts(&self) -> bool {
        self.config.enable_priority_scheduling && self.config.enable_priority_preemption
    }
}
