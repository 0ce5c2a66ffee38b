//! Control calls to the scheduler that have an answer: cache flush, internal state (reference: `FanOutCommunicator`).

use std::time::Duration;

use parking_lot::Mutex;
use sglang_proto::messages::{
    Answer, Call, CloseSessionReqInput, ConfigureLoggingReq, ExpertDistributionReq,
    ExpertDistributionReqOutput, ExpertDistributionReqType, FlushCacheReqInput, FlushCacheReqOutput,
    GetInternalStateReq, OpenSessionReqInput, OpenSessionReqOutput, ProfileReq, ProfileReqOutput, Receivable,
    Reply, SetInternalStateReq,
};
use sglang_proto::wire::Message;
use tokio::sync::oneshot;

use super::TokenizerManager;
use crate::requests::normalize::new_rid;

/// The reason why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The scheduler did not answer in time.
    #[error("the scheduler has not answered within {0:?}")]
    Timeout(Duration),
    /// The link does not accept messages.
    #[error("the scheduler cannot be reached: {0}")]
    Unreachable(String),
    /// The scheduler was replaced by a new process before it answered.
    #[error("the scheduler was restarted before it answered")]
    Restarted,
    /// The scheduler answered with a message of another class: a bug in one of the two processes.
    #[error("the scheduler answered with {got}, not with {expected}")]
    WrongReply {
        /// The class of the expected answer.
        expected: &'static str,
        /// The class of the message that arrived.
        got: &'static str,
    },
}

struct Waiter {
    rid: String,
    class: &'static str,
    answer: oneshot::Sender<Answer>,
}

/// Calls that are waiting for their answers.
#[derive(Default)]
pub struct Control {
    waiters: Mutex<Vec<Waiter>>,
}

impl Control {
    /// Hands an answer to its caller: the one with the same id, or if the answer has no id, the first that waits for
    /// its class.
    pub fn reply(&self, answer: Answer) {
        let mut waiters = self.waiters.lock();
        let class = answer.class();
        let fits = |waiter: &Waiter| match answer.rid().get() {
            Some(rid) => waiter.rid == rid,
            None => waiter.class == class,
        };
        let Some(at) = waiters.iter().position(fits) else {
            tracing::debug!("Nobody waits for this {class} any more");
            return;
        };
        // The caller may have stopped waiting a moment ago.
        let _ = waiters.remove(at).answer.send(answer);
    }

    /// Fails all waiting calls, since nobody will answer them.
    pub fn forget_all(&self) {
        self.waiters.lock().clear();
    }

    fn wait(&self, rid: &str, class: &'static str) -> oneshot::Receiver<Answer> {
        let (answer, receiver) = oneshot::channel();
        let mut waiters = self.waiters.lock();
        waiters.retain(|waiter| !waiter.answer.is_closed());
        waiters.push(Waiter { rid: rid.to_owned(), class, answer });
        receiver
    }
}

/// Converts an answer to the type that the caller expects.
fn expect<R: Reply>(answer: Answer) -> Result<R, ControlError> {
    R::from_answer(answer)
        .map_err(|other| ControlError::WrongReply { expected: R::CLASS, got: other.class() })
}

impl TokenizerManager {
    /// Calls the scheduler and waits for its answer.
    pub(super) async fn call<C: Call>(&self, call: C, timeout: Duration) -> Result<C::Reply, ControlError> {
        let rid = new_rid();
        let answer = self.control.wait(&rid, C::Reply::CLASS);
        self.scheduler
            .send(call.with_id(rid.into()))
            .map_err(|e| ControlError::Unreachable(e.to_string()))?;
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(answer)) => expect(answer),
            Ok(Err(_)) => Err(ControlError::Restarted),
            Err(_) => Err(ControlError::Timeout(timeout)),
        }
    }

    /// The scheduler's live state, as reported by it.
    ///
    /// # Errors
    /// If the scheduler does not answer in time.
    pub async fn internal_state(&self, timeout: Duration) -> Result<serde_json::Value, ControlError> {
        Ok(self.call(GetInternalStateReq::default(), timeout).await?.internal_state)
    }

    /// Changes numeric settings of the scheduler. Returns false if it does not know one of them.
    ///
    /// # Errors
    /// If the scheduler does not answer in time.
    pub async fn set_internal_state(
        &self,
        server_args: std::collections::BTreeMap<String, f64>,
        timeout: Duration,
    ) -> Result<bool, ControlError> {
        let request = SetInternalStateReq { server_args, ..Default::default() };
        Ok(self.call(request, timeout).await?.updated)
    }

    /// Opens a session.
    ///
    /// # Errors
    /// If the scheduler does not answer in time.
    pub async fn open_session(
        &self,
        request: OpenSessionReqInput,
        timeout: Duration,
    ) -> Result<OpenSessionReqOutput, ControlError> {
        self.call(request, timeout).await
    }

    /// Starts, stops or writes the record of which experts process the tokens.
    ///
    /// # Errors
    /// If the scheduler does not answer in time.
    pub async fn expert_distribution(
        &self,
        action: ExpertDistributionReqType,
        timeout: Duration,
    ) -> Result<ExpertDistributionReqOutput, ControlError> {
        self.call(ExpertDistributionReq { action, ..Default::default() }, timeout).await
    }

    /// Closes a session. This call has no answer.
    ///
    /// # Errors
    /// If the scheduler cannot be reached.
    pub fn close_session(&self, session_id: String) -> Result<(), ControlError> {
        self.tell(CloseSessionReqInput { session_id })
    }

    /// Starts or stops a trace of the scheduler. The answer to a stop arrives once the file is written.
    ///
    /// # Errors
    /// If the scheduler does not answer in time.
    pub async fn profile(
        &self,
        request: ProfileReq,
        timeout: Duration,
    ) -> Result<ProfileReqOutput, ControlError> {
        self.call(request, timeout).await
    }

    /// Changes what this process logs; a `log_level` also applies to the other processes.
    ///
    /// # Errors
    /// If the scheduler cannot be reached.
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

    /// Empties the radix cache. With `timeout_s` the scheduler waits up to that many seconds until it is idle.
    ///
    /// # Errors
    /// If the scheduler does not answer in time.
    pub async fn flush_cache(
        &self,
        timeout_s: f64,
        patience: Duration,
    ) -> Result<FlushCacheReqOutput, ControlError> {
        let timeout =
            patience + Duration::try_from_secs_f64(timeout_s).unwrap_or(Duration::from_secs(86_400));
        let timeout_s = Some(timeout_s).filter(|t| *t > 0.0);
        self.call(FlushCacheReqInput { timeout_s, ..Default::default() }, timeout).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sglang_proto::messages::{CallId, GetInternalStateReqOutput};

    const CLASS: &str = FlushCacheReqOutput::CLASS;

    fn output(rid: impl Into<CallId>) -> Answer {
        FlushCacheReqOutput { rid: rid.into(), success: true, ..Default::default() }.into()
    }

    #[test]
    fn answers_reach_the_caller_with_their_id_or_the_first_of_their_class() {
        let control = Control::default();
        let mut first = control.wait("1", CLASS);
        let mut second = control.wait("2", CLASS);
        control.reply(output("2"));
        assert!(second.try_recv().is_ok() && first.try_recv().is_err());
        control.reply(output("9"));
        assert!(first.try_recv().is_err());
        control.reply(output(CallId::default()));
        assert!(first.try_recv().is_ok());
    }

    #[test]
    fn a_caller_that_gave_up_does_not_take_the_next_ones_answer() {
        let control = Control::default();
        drop(control.wait("1", CLASS));
        let mut second = control.wait("2", CLASS);
        control.reply(output(CallId::default()));
        assert!(second.try_recv().is_ok());
    }

    #[test]
    fn an_answer_of_another_class_is_an_error_of_its_own() {
        let control = Control::default();
        let mut waiting = control.wait("1", GetInternalStateReqOutput::CLASS);
        control.reply(output(CallId::default()));
        assert!(waiting.try_recv().is_err(), "without an id only the class tells");
        control.reply(output("1"));
        let answer = waiting.try_recv().unwrap();
        let error = expect::<GetInternalStateReqOutput>(answer).unwrap_err();
        let text = "the scheduler answered with FlushCacheReqOutput, not with GetInternalStateReqOutput";
        assert_eq!(error.to_string(), text);
        assert_eq!(expect::<FlushCacheReqOutput>(output("1")).map(|reply| reply.success), Ok(true));
    }
}
