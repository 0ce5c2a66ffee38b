//! Changes settings while the server runs (reference: `managers/scheduler_components/internal_state.py`).

use sglang_planner::Planner;
use sglang_proto::messages::{SetInternalStateReq, SetInternalStateReqOutput};

/// Changes settings by flag name, all or none: `updated` is false if one is unknown or its value is out of range. The
/// reference has four more, for speculative decoding.
pub fn handle(request: SetInternalStateReq, planner: &mut Planner) -> SetInternalStateReqOutput {
    let updated = update(&request, planner);
    SetInternalStateReqOutput { rid: request.rid, updated }
}

fn update(request: &SetInternalStateReq, planner: &mut Planner) -> bool {
    let upper = planner.config().max_running_requests;
    let mut micro_batch = None;
    for (name, value) in &request.server_args {
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
        planner.set_max_micro_batch_size(requests);
        tracing::info!("Config updated: pp_max_micro_batch_size={requests}");
    }
    true
}
