//! Decode steps: one token for every running request.

use super::Planner;
use super::batch::BatchBuilder;
use super::plan::Planned;
use crate::RetractionReport;

impl Planner {
    /// Adds all decoding requests to the batch. If the KV pool has no room even after eviction, requests are retracted,
    /// which has to wait until nothing is in flight.
    pub(super) fn plan_decode(
        &mut self,
        builder: &mut BatchBuilder,
        retraction: &mut Option<RetractionReport>,
    ) -> Planned {
        let mut ids = self.decodable();
        if ids.is_empty() {
            return Planned::Nothing;
        }
        if self.make_room(self.decode_tokens(&ids)) {
            self.ratio.decay_step();
        } else if !self.in_flight.is_empty() {
            // The result may free enough slots.
            return Planned::NeedsResult;
        } else {
            *retraction = Some(self.retract_decode());
            ids = self.decodable();
        }
        self.push_decode_rows(builder, &ids);
        if builder.is_empty() { Planned::Nothing } else { Planned::Work }
    }

    /// Free slots, in whole pages, that one more token for each of `ids` needs.
    pub(super) fn decode_tokens(&self, ids: &[usize]) -> usize {
        let need = |id: &usize| {
            let len = self.reqs.get(*id).map_or(0, |req| self.kv_len(req));
            self.kv.new_page_tokens(len, 1)
        };
        ids.iter().map(need).sum()
    }

    /// Adds a decode row for each of `ids`. The caller has made room.
    pub(super) fn push_decode_rows(&mut self, builder: &mut BatchBuilder, ids: &[usize]) {
        for id in ids {
            let Some(row) = self.reqs.get(*id).and_then(|req| req.row) else { continue };
            let Some(slots) = self.rows.row_mut(row) else { continue };
            let from = slots.len();
            if !self.kv.extend(slots, 1) {
                self.faults.push(format!("no slot for decoding row {row} although room was made"));
                continue;
            }
            self.push_entry(builder, *id, from, false);
        }
    }
}
