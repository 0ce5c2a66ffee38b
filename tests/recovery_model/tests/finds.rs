//! The checker finds every fault that is planted in the protocol, with the promise that it breaks. If a fault was seen
//! in the product, or occurs in an obvious simpler protocol, its test says so.

use sglang_recovery_model::checker::explore;
use sglang_recovery_model::faults::{Fault, Faults};
use sglang_recovery_model::promise::Property;
use sglang_recovery_model::setup::{Op, Poison, Setup};

/// Finds what `faults` break. Without them the same setup must keep all promises, so that only they can be the cause.
#[track_caller]
fn finds(faults: &[Fault], property: Property, setup: Setup) {
    let healthy = explore(&setup);
    assert!(healthy.broken.is_none(), "without the fault: {:#?}", healthy.broken);
    let broken = explore(&Setup { faults: Faults::of(faults), ..setup }).broken;
    assert!(broken.is_some(), "{faults:?} not found");
    if let Some(broken) = broken {
        println!("{faults:?} breaks {:?} by {:#?}", broken.property, broken.events);
        assert_eq!(broken.property, property, "{:#?}", broken.events);
    }
}

fn alone() -> Setup {
    Setup { requests: 1, ..Setup::calm() }
}

#[test]
fn no_attempt_numbers() {
    finds(&[Fault::AttemptsIgnored], Property::NoOrphans, Setup { deaths: [0, 1, 0], ..alone() });
}

#[test]
fn no_attempt_numbers_in_two_requests_with_one_id() {
    let setup = Setup { deaths: [1, 0, 0], same_rid: true, ..Setup::calm() };
    finds(&[Fault::AttemptsIgnored], Property::TextIsOneSequence, setup);
}

/// The rule reacts to a wrong offset, so resubmitting always at the wrong position never ends.
#[test]
fn resumed_one_too_far() {
    finds(&[Fault::ResumeTooFar], Property::NoLivelock, Setup { deaths: [0, 1, 0], ..alone() });
}

/// Seen: the text of late outputs came twice, because known ids were cut off but their text was not.
#[test]
fn resumed_one_too_early_with_offsets_unchecked() {
    let faults = [Fault::ResumeTooEarly, Fault::OffsetsIgnored];
    finds(&faults, Property::TextIsOneSequence, Setup { deaths: [0, 1, 0], ..alone() });
}

#[test]
fn control_answered_before_it_is_applied() {
    let setup = Setup { ops: vec![Op::Change], ..alone() };
    finds(&[Fault::AnswerBeforeApplied], Property::DesiredStateHolds, setup);
}

/// The launcher keeps only what was acknowledged: then a scheduler can be ahead of every log.
#[test]
fn log_kept_only_when_applied() {
    let setup = Setup { ops: vec![Op::Change], ..alone() };
    finds(&[Fault::KeptAfterApplied], Property::DesiredStateHolds, setup);
}

#[test]
fn log_replayed_out_of_order() {
    let setup = Setup { ops: vec![Op::Change; 2], deaths: [0, 1, 0], ..alone() };
    finds(&[Fault::LogReplayedBackwards], Property::DesiredStateHolds, setup);
}

/// Seen: a scheduler restarted with its first weights, and unpaused.
#[test]
fn log_not_replayed() {
    let setup = Setup { ops: vec![Op::Change], deaths: [0, 1, 0], ..alone() };
    finds(&[Fault::LogNotReplayed], Property::ComesToRest, setup);
}

/// Seen: the stream continued while the server was paused.
#[test]
fn requests_run_before_the_state_they_need() {
    let setup = Setup { ops: vec![Op::Pause, Op::Continue], deaths: [0, 1, 0], ..alone() };
    finds(&[Fault::NeedsIgnored], Property::DesiredStateHolds, setup);
}

/// Seen: an abort that was lost with a scheduler was forgotten, and its request was submitted again.
#[test]
fn aborted_request_submitted_again() {
    let setup = Setup { aborts: 1, deaths: [0, 1, 0], ..alone() };
    finds(&[Fault::AbortedSubmittedAgain], Property::NoOrphans, setup);
}

/// Aborted requests end at once when a scheduler starts: an abort that races with its hello may be lost.
#[test]
fn aborts_end_locally() {
    let setup = Setup { aborts: 1, deaths: [0, 1, 0], cuts: 1, ..alone() };
    finds(&[Fault::AbortsEndLocally], Property::NoOrphans, setup);
}

/// Seen: an abort of a request unknown to the scheduler was never answered.
#[test]
fn unknown_abort_unanswered() {
    let setup = Setup { aborts: 1, deaths: [0, 1, 0], ..alone() };
    finds(&[Fault::UnknownAbortUnanswered], Property::ComesToRest, setup);
}

/// Seen: an abort bypassed the detokenizer, and the next request with that id was decoded with the state it left.
#[test]
fn another_requests_decoder() {
    let faults = [Fault::AbortBypassesDetokenizer, Fault::DecodersByIdAlone];
    let setup = Setup { aborts: 1, same_rid: true, ..Setup::calm() };
    finds(&faults, Property::TextIsOneSequence, setup);
}

#[test]
fn aborts_that_bypass_the_detokenizer_leave_decoders() {
    let setup = Setup { aborts: 1, ..alone() };
    finds(&[Fault::AbortBypassesDetokenizer], Property::ComesToRest, setup);
}

#[test]
fn decoders_known_by_id_alone() {
    let setup = Setup { deaths: [1, 0, 0], same_rid: true, ..Setup::calm() };
    finds(&[Fault::DecodersByIdAlone], Property::TextIsOneSequence, Setup { cuts: 1, ..setup });
}

/// A submission that arrives twice is admitted again if the request has ended in between.
#[test]
fn repeats_taken_as_new() {
    finds(&[Fault::RepeatsTaken], Property::NoOrphans, Setup { repeats: 1, ..alone() });
}

/// Seen: nobody missed a frame that was lost on a re-established link, and its request hung.
#[test]
fn gaps_unnoticed() {
    finds(&[Fault::GapsIgnored], Property::ComesToRest, Setup { cuts: 1, ..alone() });
}

/// Seen: frames of earlier lives are accepted if two roles share a socket.
#[test]
fn earlier_lives_are_heard() {
    let setup = Setup { deaths: [1, 0, 0], overtaking: true, ..alone() };
    finds(&[Fault::OldLivesTaken], Property::NoOrphans, setup);
}

/// Seen: killing a detokenizer ended the requests in transit.
#[test]
fn nothing_resumed_when_a_detokenizer_comes_up() {
    finds(&[Fault::DetokenizerIgnored], Property::ComesToRest, Setup { deaths: [0, 0, 1], ..alone() });
}

#[test]
fn nothing_resumed_when_a_scheduler_comes_up() {
    finds(&[Fault::SchedulerIgnored], Property::ComesToRest, Setup { deaths: [0, 1, 0], ..alone() });
}

/// Seen: after an idle peer restarted, the first request was lost in the old connection.
#[test]
fn hello_before_the_sender_has_noticed() {
    finds(&[Fault::HelloTooSoon], Property::ComesToRest, Setup { deaths: [0, 0, 1], ..alone() });
}

#[test]
fn orphans_of_a_tokenizer_manager_kept() {
    finds(&[Fault::OrphansKept], Property::NoOrphans, Setup { deaths: [1, 0, 0], ..alone() });
}

#[test]
fn suspects_run_together() {
    let setup = Setup { poison: Some(Poison { request: 0, position: 1 }), ..Setup::calm() };
    finds(&[Fault::SuspectsRunTogether], Property::InnocentsComplete, setup);
}

#[test]
fn poison_is_run_again() {
    let setup = Setup { poison: Some(Poison { request: 0, position: 1 }), ..Setup::calm() };
    finds(&[Fault::PoisonRunAgain], Property::TwoRestartsAtMost, setup);
}

/// A request that was running at every kill from outside is taken for poison.
#[test]
fn kills_from_outside_accuse() {
    finds(&[Fault::OutsideKillsAccuse], Property::InnocentsComplete, Setup { deaths: [0, 2, 0], ..alone() });
}
