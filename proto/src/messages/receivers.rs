//! The messages that each process can receive.

use super::message_enum;

message_enum! {
    /// Messages that the scheduler can receive.
    SchedulerMessage {
        TokenizedGenerateReqInput, BatchTokenizedGenerateReqInput, TokenizedEmbeddingReqInput,
        BatchTokenizedEmbeddingReqInput, AbortReq, FlushCacheReqInput, PauseGenerationReqInput,
        ContinueGenerationReqInput, GetInternalStateReq, SetInternalStateReq, ExpertDistributionReq, ShutdownReq,
        ConfigureLoggingReq, OpenSessionReqInput, CloseSessionReqInput, HealthCheckOutput, ProfileReq,
        UpdateWeightFromDiskReqInput, UpdateWeightVersionReqInput, GetWeightsByNameReqInput,
        LoadLoRAAdapterReqInput, UnloadLoRAAdapterReqInput, ReleaseMemoryOccupationReqInput,
        ResumeMemoryOccupationReqInput, SlowDownReqInput, CheckWeightsReqInput,
    }
}

message_enum! {
    /// Messages that the detokenizer can receive.
    DetokenizerMessage { BatchTokenIDOutput, BatchEmbeddingOutput, AbortReq, ConfigureLoggingReq }
}

message_enum! {
    /// Messages that the tokenizer manager can receive.
    TokenizerManagerMessage or Answer {
        BatchStrOutput, BatchTokenIDOutput, BatchEmbeddingOutput, AbortReq, HealthCheckOutput,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AnyMessage, BatchStrOutput, FlushCacheReqInput, FlushCacheReqOutput, Receivable};
    use super::*;
    use crate::wire::FrameError;

    fn frame(message: impl Into<AnyMessage>) -> Vec<u8> {
        message.into().encode(None).unwrap()
    }

    #[test]
    fn a_process_decodes_what_is_for_it_and_nothing_else() {
        let call = FlushCacheReqInput { rid: "1".into(), ..Default::default() };
        let answer = FlushCacheReqOutput { rid: "1".into(), ..Default::default() };
        let (message, _) = SchedulerMessage::decode(&frame(call.clone())).unwrap();
        assert_eq!(message, call.clone().into());
        let (message, _) = TokenizerManagerMessage::decode(&frame(answer.clone())).unwrap();
        assert_eq!(message.class(), "FlushCacheReqOutput");
        assert_eq!(message, TokenizerManagerMessage::Answer(answer.into()));
        let unknown = |refused: Result<_, FrameError>| match refused {
            Err(FrameError::UnknownClass(class)) => class,
            other => panic!("{other:?}"),
        };
        let text = frame(BatchStrOutput::default());
        assert_eq!(unknown(SchedulerMessage::decode(&text).map(|m| m.0.class())), "BatchStrOutput");
        assert_eq!(unknown(DetokenizerMessage::decode(&text).map(|m| m.0.class())), "BatchStrOutput");
        let call = frame(call);
        assert_eq!(
            unknown(TokenizerManagerMessage::decode(&call).map(|m| m.0.class())),
            "FlushCacheReqInput"
        );
    }
}
