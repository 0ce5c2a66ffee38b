//! The loop's side of a trace: starting, stopping, and writing it without holding up the loop.

use sglang_ipc::PushLink;
use sglang_proto::messages::{ProfileReq, ProfileReqOutput};

use super::{Finished, stops};
use crate::event_loop::EventLoop;

impl EventLoop<'_> {
    /// Starts or stops a trace. The answer to a stop comes when the file is written.
    pub(crate) fn profile(&mut self, request: &ProfileReq) {
        let rid = request.rid.clone();
        let done = if stops(request) {
            match self.profiler.stop() {
                Ok(finished) => return self.write_trace(finished, Some(rid)),
                Err(error) => Err(error),
            }
        } else {
            self.profiler.start(request, self.next_step).map(|path| path.display().to_string())
        };
        let (success, message) = match done {
            Ok(path) => (true, path),
            Err(error) => (false, error.to_string()),
        };
        self.reply(ProfileReqOutput { rid, http_worker_ipc: None, success, message });
    }

    /// Writes a trace on a thread of its own, and answers `reply` when there is one.
    pub(crate) fn write_trace(&self, finished: Finished, reply: Option<Option<String>>) {
        let tokenizer = self.links.tokenizer.clone();
        let write = move || write(&finished, reply, &tokenizer);
        if let Err(error) = std::thread::Builder::new().name("trace".into()).spawn(write) {
            tracing::error!("Cannot write the trace: {error}");
        }
    }
}

fn write(finished: &Finished, reply: Option<Option<String>>, tokenizer: &PushLink) {
    let path = finished.path.display();
    let (success, message) = match finished.write() {
        Ok(()) => (true, format!("{path}")),
        Err(error) => (false, format!("the trace cannot be written to {path}: {error}")),
    };
    match success {
        true => tracing::info!("Profiling done. {} steps are in {path}", finished.steps),
        false => tracing::error!("{message}"),
    }
    let Some(rid) = reply else { return };
    if let Err(error) = tokenizer.send(ProfileReqOutput { rid, http_worker_ipc: None, success, message }) {
        tracing::error!("Cannot answer the tokenizer manager: {error}");
    }
}
