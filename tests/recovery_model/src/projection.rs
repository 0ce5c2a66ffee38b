//! Projects a state with two requests to one of them.
//!
//! No process looks at one request to decide about another. So every event with two requests is, for each of them, an
//! event of the system with that request alone, or no event at all; and what holds for every run with one request holds
//! for each of many. [`steps_alike`] checks this for every event.

use crate::actions;
use crate::canonical::fingerprint;
use crate::frames::{Output, REQUESTS, Text, ToScheduler};
use crate::setup::Setup;
use crate::state::State;

/// The same system with only this request, renamed to 0.
pub fn project(state: &State, request: u8, alone: &Setup) -> State {
    let mut one = state.clone();
    let keep = usize::from(request);
    one.tokenizer_manager.issued = only(one.tokenizer_manager.issued, keep);
    one.tokenizer_manager.entries = only(one.tokenizer_manager.entries, keep);
    one.scheduler.running = only(one.scheduler.running, keep);
    one.detokenizer.decoders = only(one.detokenizer.decoders, keep);
    one.clients = only(one.clients, keep);
    one.tokenizer_manager.entries.iter_mut().flatten().for_each(|entry| entry.request = 0);
    one.scheduler.running.iter_mut().flatten().for_each(|running| running.request = 0);
    one.detokenizer.decoders.iter_mut().flatten().for_each(|decoder| decoder.request = 0);
    one.to_scheduler.frames.retain_mut(|envelope| match &mut envelope.frame {
        ToScheduler::Submit { rid, request: named, .. } => {
            *named = 0;
            is_kept(rid, request)
        }
        ToScheduler::Abort { rid, .. } => is_kept(rid, request),
        ToScheduler::Hello | ToScheduler::Control { .. } => true,
    });
    one.to_detokenizer.frames.retain_mut(|envelope| match &mut envelope.frame {
        Output::Frame { rid, request: named, .. } => {
            *named = 0;
            is_kept(rid, request)
        }
        Output::End { rid, .. } => is_kept(rid, request),
        Output::Hello => true,
    });
    one.texts.frames.retain_mut(|envelope| match &mut envelope.frame {
        Text::Frame { rid, piece, .. } => {
            piece.request = 0;
            is_kept(rid, request)
        }
        Text::End { rid, .. } => is_kept(rid, request),
        Text::Hello { .. } => true,
    });
    // Events of the other client do not count here.
    one.budget.aborts = if one.clients[0].aborts { 0 } else { alone.aborts.min(1) };
    one.settle(alone);
    one
}

fn only<T: Copy + Default>(values: [T; REQUESTS], keep: usize) -> [T; REQUESTS] {
    let mut one = [T::default(); REQUESTS];
    one[0] = values[keep];
    one
}

/// Whether the frame belongs to the request; renames it to 0.
fn is_kept(rid: &mut u8, request: u8) -> bool {
    let own = *rid == request;
    *rid = 0;
    own
}

/// Whether the event from `before` to `after` is, for this request alone, an event or nothing.
pub fn steps_alike(before: &State, after: &State, request: u8, alone: &Setup) -> bool {
    let (from, to) = (project(before, request, alone), project(after, request, alone));
    let wanted = fingerprint(&to, alone);
    if fingerprint(&from, alone) == wanted {
        return true;
    }
    let mut events = Vec::new();
    actions::enabled(&from, alone, &mut events);
    events
        .into_iter()
        .any(|event| from.after(event, alone).is_ok_and(|next| fingerprint(&next, alone) == wanted))
}
