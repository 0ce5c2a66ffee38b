//! Starts and stops traces, and writes them without blocking the loop.

use std::time::Instant;

use sglang_proto::forward::ForwardResult;
use sglang_proto::messages::{CallId, ProfileReq, ProfileReqOutput, STOP_PROFILE};

use super::recorder::{Finished, Recorder};
use crate::background::Reporter;
use crate::step::StepInfo;

/// Records traces on request.
///
/// No state must survive a restart: the trace of a process that died is lost, and the caller learns of the restart.
pub struct Profiler {
    recorder: Recorder,
    answers: Reporter<ProfileReqOutput>,
}

impl Profiler {
    /// Creates the component without a trace. `answers` receives answers that are delayed until a file is written.
    pub fn new(answers: Reporter<ProfileReqOutput>) -> Self {
        Self { recorder: Recorder::default(), answers }
    }

    /// Starts or stops a trace. `next_step` is the id of the next step. Returns the answer, unless it has to wait until
    /// the file of a stopped trace is written.
    pub fn handle(&mut self, request: ProfileReq, next_step: u64) -> Option<ProfileReqOutput> {
        let done = if request.req_type == STOP_PROFILE {
            match self.recorder.stop() {
                Ok(finished) => {
                    self.write(finished, Some(request.rid));
                    return None;
                }
                Err(error) => Err(error),
            }
        } else {
            self.recorder.start(&request, next_step).map(|path| path.display().to_string())
        };
        let (success, message) = match done {
            Ok(path) => (true, path),
            Err(error) => (false, error.to_string()),
        };
        Some(ProfileReqOutput { rid: request.rid, success, message })
    }

    /// The current time if a trace is running, as the start of a [`Profiler::span`].
    pub fn now(&self) -> Option<Instant> {
        self.recorder.now()
    }

    /// Records that the loop did `name` from `start` until now.
    pub fn span(&mut self, name: &'static str, start: Option<Instant>, step: Option<StepInfo>) {
        self.recorder.span(name, start, step);
    }

    /// Records a step that the model has run. `result` is absent if it failed.
    pub fn step(&mut self, info: StepInfo, started: Instant, ended: Instant, result: Option<&ForwardResult>) {
        self.recorder.step(info, started, ended, result);
    }

    /// Writes a trace whose steps have all been recorded.
    pub fn advance(&mut self) {
        if let Some(finished) = self.recorder.take_finished() {
            self.write(finished, None);
        }
    }

    /// Writes a trace on a separate thread, then answers the call, if there is one.
    fn write(&self, finished: Finished, call: Option<CallId>) {
        let answers = self.answers.clone();
        let write = move || {
            let (success, message) = write(&finished);
            if let Some(rid) = call {
                answers.report(ProfileReqOutput { rid, success, message });
            }
        };
        if let Err(error) = std::thread::Builder::new().name("trace".into()).spawn(write) {
            tracing::error!("Cannot write the trace: {error}");
        }
    }
}

fn write(finished: &Finished) -> (bool, String) {
    let path = finished.path.display();
    match finished.write() {
        Ok(()) => {
            tracing::info!("Profiling done. {} steps are in {path}", finished.steps);
            (true, path.to_string())
        }
        Err(error) => {
            let message = format!("the trace cannot be written to {path}: {error}");
            tracing::error!("{message}");
            (false, message)
        }
    }
}
