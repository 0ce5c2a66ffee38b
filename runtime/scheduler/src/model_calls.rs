//! Calls to the model's thread: recording of chosen experts, and artificial delay.

use std::time::Duration;

use sglang_proto::messages::{
    AnyMessage, ExpertDistributionReq, ExpertDistributionReqOutput, SlowDownReqInput, SlowDownReqOutput,
};
use sglang_proto::worker::ModelWorker;

use crate::worker_thread::WorkerThread;

/// A call to the model's thread.
#[derive(Debug)]
pub enum ModelInput {
    /// Start, stop or dump the recording of chosen experts.
    ExpertDistribution(ExpertDistributionReq),
    /// Delay every step.
    SlowDown(SlowDownReqInput),
}

/// Handles one input and returns the answer.
pub fn handle(input: ModelInput, worker: &WorkerThread) -> AnyMessage {
    match input {
        ModelInput::ExpertDistribution(request) => expert_distribution(request, worker).into(),
        ModelInput::SlowDown(request) => slow_down(request, worker).into(),
    }
}

/// Passes the request to the model, after the steps submitted before it.
fn expert_distribution(request: ExpertDistributionReq, worker: &WorkerThread) -> ExpertDistributionReqOutput {
    let action = request.action;
    let call = move |worker: &mut dyn ModelWorker| worker.expert_distribution(action);
    let message = match worker.call(call) {
        Ok(Ok(())) => String::new(),
        Ok(Err(message)) => message,
        Err(error) => error.to_string(),
    };
    let success = message.is_empty();
    ExpertDistributionReqOutput { rid: request.rid, success, message }
}

/// Delays every step, by at most a third of the watchdog timeout, after which the loop would consider the model dead.
fn slow_down(request: SlowDownReqInput, worker: &WorkerThread) -> SlowDownReqOutput {
    let seconds = request.forward_sleep_time.unwrap_or_default().max(0.0);
    let delay = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    worker.slow_down(delay.min(worker.limit() / 3));
    SlowDownReqOutput { rid: request.rid }
}
