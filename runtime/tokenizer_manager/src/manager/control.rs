//! Calls to the scheduler that have an answer: cache flush, internal state (reference: `FanOutCommunicator`).

use std::time::Duration;

use parking_lot::Mutex;
use sglang_proto::messages::{
    AnyMessage, CloseSessionReqInput, ConfigureLoggingReq, ExpertDistributionReq,
    ExpertDistributionReqOutput, ExpertDistributionReqType, FlushCacheReqInput, FlushCacheReqOutput,
    GetInternalStateReq, OpenSessionReqInput, OpenSessionReqOutput, ProfileReq, ProfileReqOutput,
    SetInternalStateReq,
};
use tokio::sync::oneshot;

use super::TokenizerManager;
use crate::requests::normalize::new_rid;

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The scheduler has not answered in time.
    #[error("the scheduler has not answered within {0:?}")]
    Timeout(Duration),
    /// The link does not take messages.
    #[error("the scheduler cannot be reached: {0}")]
    Unreachable(String),
    /// A new scheduler process has taken the place of the one that was asked.
    #[error("the scheduler was restarted before it answered")]
    Restarted,
}

struct Waiter {
    rid: String,
    reply_class: &'static str,
    reply: oneshot::Sender<AnyMessage>,
}

/// Calls that wait for their answer.
#[derive(Default)]
pub struct Control {
    waiters: Mutex<Vec<Waiter>>,
}

impl Control {
    /// Hands an answer to its caller: the one with the same id, or, when the answer has none, the first that waits
    /// for its class.
    pub fn reply(&self, rid: Option<&str>, message: AnyMessage) {
        let mut waiters = self.waiters.lock();
        let class = message.class();
        let fits = |w: &Waiter| w.reply_class == class && rid.is_none_or(|rid| rid == w.rid);
        let Some(at) = waiters.iter().position(fits) else {
            tracing::debug!("Nobody waits for this {class} any more");
            return;
        };
        // The caller may have given up a moment ago.
        let _ = waiters.remove(at).reply.send(message);
    }

    /// Nobody will answer the calls that wait.
    pub fn forget_all(&self) {
        self.waiters.lock().clear();
    }

    fn wait(&self, rid: &str, reply_class: &'static str) -> oneshot::Receiver<AnyMessage> {
        let (reply, receiver) = oneshot::channel();
        let mut waiters = self.waiters.lock();
        waiters.retain(|w| !w.reply.is_closed());
        waiters.push(Waiter { rid: rid.to_owned(), reply_class, reply });
        receiver
    }
}

impl TokenizerManager {
    pub(super) async fn call(
        &self,
        rid: String,
        message: impl Into<AnyMessage>,
        reply_class: &'static str,
        timeout: Duration,
    ) -> Result<AnyMessage, ControlError> {
        let reply = self.control.wait(&rid, reply_class);
        self.scheduler.send(message).map_err(|e| ControlError::Unreachable(e.to_string()))?;
        match tokio::time::timeout(timeout, reply).await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(_)) => Err(ControlError::Restarted),
            Err(_) => Err(ControlError::Timeout(timeout)),
        }
    }

    /// The scheduler's live state, as it tells it.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn internal_state(&self, timeout: Duration) -> Result<serde_json::Value, ControlError> {
        let rid = new_rid();
        let request = GetInternalStateReq { rid: Some(rid.clone()), http_worker_ipc: None };
        match self.call(rid, request, "GetInternalStateReqOutput", timeout).await? {
            AnyMessage::GetInternalStateReqOutput(reply) => Ok(reply.internal_state),
            _ => Err(ControlError::Timeout(timeout)),
        }
    }

    /// Changes numeric settings of the scheduler; false when it does not know one of them.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn set_internal_state(
        &self,
        server_args: std::collections::BTreeMap<String, f64>,
        timeout: Duration,
    ) -> Result<bool, ControlError> {
        let rid = new_rid();
        let request = SetInternalStateReq { rid: Some(rid.clone()), http_worker_ipc: None, server_args };
        match self.call(rid, request, "SetInternalStateReqOutput", timeout).await? {
            AnyMessage::SetInternalStateReqOutput(reply) => Ok(reply.updated),
            _ => Err(ControlError::Timeout(timeout)),
        }
    }

    /// Opens a session.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn open_session(
        &self,
        mut request: OpenSessionReqInput,
        timeout: Duration,
    ) -> Result<OpenSessionReqOutput, ControlError> {
        let rid = new_rid();
        request.rid = Some(rid.clone());
        match self.call(rid, request, "OpenSessionReqOutput", timeout).await? {
            AnyMessage::OpenSessionReqOutput(reply) => Ok(*reply),
            _ => Err(ControlError::Timeout(timeout)),
        }
    }

    /// Starts, stops or writes the record of chosen experts.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn expert_distribution(
        &self,
        action: ExpertDistributionReqType,
        timeout: Duration,
    ) -> Result<ExpertDistributionReqOutput, ControlError> {
        let rid = new_rid();
        let request = ExpertDistributionReq { rid: Some(rid.clone()), http_worker_ipc: None, action };
        match self.call(rid, request, "ExpertDistributionReqOutput", timeout).await? {
            AnyMessage::ExpertDistributionReqOutput(reply) => Ok(*reply),
            _ => Err(ControlError::Timeout(timeout)),
        }
    }

    /// Closes a session; there is no answer.
    ///
    /// # Errors
    /// The scheduler cannot be reached.
    pub fn close_session(&self, session_id: String) -> Result<(), ControlError> {
        self.tell(CloseSessionReqInput { rid: None, http_worker_ipc: None, session_id })
    }

    /// Starts or stops a trace of the scheduler. A stop is answered when the file is written.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn profile(
        &self,
        mut request: ProfileReq,
        timeout: Duration,
    ) -> Result<ProfileReqOutput, ControlError> {
        let rid = new_rid();
        request.rid = Some(rid.clone());
        match self.call(rid, request, "ProfileReqOutput", timeout).await? {
            AnyMessage::ProfileReqOutput(reply) => Ok(*reply),
            _ => Err(ControlError::Timeout(timeout)),
        }
    }

    /// Changes what this process logs, and with a `log_level` also what the others do.
    ///
    /// # Errors
    /// The scheduler cannot be reached.
    pub fn configure_logging(&self, request: ConfigureLoggingReq) -> Result<(), ControlError> {
        {
            let mut log = self.request_log.write();
            log.enabled = request.log_requests.unwrap_or(log.enabled);
            log.level = request.log_requests_level.and_then(|n| u8::try_from(n).ok()).unwrap_or(log.level);
            log.json = request.log_requests_format.as_ref().map_or(log.json, |format| format == "json");
        }
        let Some(level) = &request.log_level else { return Ok(()) };
        if let Err(error) = sglang_process::logging::set_level(level) {
            tracing::warn!("{error}");
        }
        self.tell(request)
    }

    /// Empties the radix cache. With `timeout_s` the scheduler waits that long for being idle.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn flush_cache(
        &self,
        timeout_s: f64,
        patience: Duration,
    ) -> Result<FlushCacheReqOutput, ControlError> {
        let rid = new_rid();
        let timeout =
            patience + Duration::try_from_secs_f64(timeout_s).unwrap_or(Duration::from_secs(86_400));
        let request = FlushCacheReqInput {
            rid: Some(rid.clone()),
            http_worker_ipc: None,
            timeout_s: Some(timeout_s).filter(|t| *t > 0.0),
        };
        match self.call(rid, request, "FlushCacheReqOutput", timeout).await? {
            AnyMessage::FlushCacheReqOutput(reply) => Ok(*reply),
            _ => Err(ControlError::Timeout(timeout)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(rid: Option<&str>) -> AnyMessage {
        FlushCacheReqOutput {
            rid: rid.map(str::to_owned),
            http_worker_ipc: None,
            success: true,
            message: String::new(),
        }
        .into()
    }

    #[test]
    fn answers_reach_the_caller_with_their_id_or_the_first_of_their_class() {
        let control = Control::default();
        let mut first = control.wait("1", "FlushCacheReqOutput");
        let mut second = control.wait("2", "FlushCacheReqOutput");
        control.reply(Some("2"), output(Some("2")));
        assert!(second.try_recv().is_ok() && first.try_recv().is_err());
        control.reply(Some("9"), output(Some("9")));
        assert!(first.try_recv().is_err());
        control.reply(None, output(None));
        assert!(first.try_recv().is_ok());
    }

    #[test]
    fn a_caller_that_gave_up_does_not_take_the_next_ones_answer() {
        let control = Control::default();
        drop(control.wait("1", "FlushCacheReqOutput"));
        let mut second = control.wait("2", "FlushCacheReqOutput");
        control.reply(None, output(None));
        assert!(second.try_recv().is_ok());
    }
}
