//! Settings that can be changed while the server runs (reference: `managers/scheduler_components/internal_state.py`).

use std::collections::BTreeMap;

use crate::event_loop::EventLoop;

impl EventLoop<'_> {
    /// Changes settings by the names of their flags, all or none: `false` when one is not known or its value does not
    /// fit. The reference's other four belong to speculative decoding.
    pub(crate) fn set_internal_state(&mut self, settings: &BTreeMap<String, f64>) -> bool {
        let upper = self.scheduler.config().max_running_requests;
        let mut micro_batch = None;
        for (name, value) in settings {
            if name != "pp_max_micro_batch_size" {
                tracing::warn!("Updating {name} is not supported.");
                return false;
            }
            if !(1.0..=upper as f64).contains(value) || value.fract() != 0.0 {
                tracing::warn!(
                    "Updating {name} to {value} is rejected because it is out of the valid range [1, {upper}]."
                );
                return false;
            }
            micro_batch = Some(*value as usize);
        }
        if let Some(requests) = micro_batch {
            self.scheduler.set_max_micro_batch_size(requests);
            // Whoever has the answer may ask for the state at once.
            self.publish();
            tracing::info!("Config updated: pp_max_micro_batch_size={requests}");
        }
        true
    }
}
