//! The events that can happen next.

use crate::setup::{ROLES, Role, Setup};
use crate::state::{Budget, State};

/// A link, named by its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkId {
    /// Tokenizer manager to scheduler.
    ToScheduler,
    /// Scheduler to detokenizer.
    ToDetokenizer,
    /// Detokenizer to tokenizer manager.
    Texts,
    /// Scheduler to tokenizer manager.
    Replies,
}

/// All links.
pub const LINKS: [LinkId; 4] = [LinkId::ToScheduler, LinkId::ToDetokenizer, LinkId::Texts, LinkId::Replies];

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A client sends its request.
    Come(u8),
    /// A client sends the next control operation.
    Control,
    /// The oldest frame of a link arrives.
    Deliver(LinkId),
    /// The scheduler computes one more frame of the request with this id.
    Step(u8),
    /// The scheduler dies in a step with the poison request; `shared`: every other request that may join is in the
    /// step.
    Poison {
        /// Whether the step contains other requests, too.
        shared: bool,
    },
    /// A sender notices that its receiver was replaced, reconnects and says hello.
    Notice(LinkId),
    /// A client aborts its request.
    Abort(u8),
    /// A role is killed from outside, and its next life begins.
    Die {
        /// Who.
        role: Role,
        /// How many frames still arrive from it on its first and second link.
        kept: [u8; 2],
        /// Whether the next life's hello arrives before them.
        overtaken: bool,
    },
    /// A link is cut: all frames after the first `kept` are lost.
    Cut {
        /// Which.
        link: LinkId,
        /// Frames that still arrive.
        kept: u8,
    },
    /// The oldest frame of a link is duplicated.
    Repeat(LinkId),
}

impl Action {
    /// Whether the event is a failure or a client's choice, which need not happen. The number of such events is
    /// limited, and the protocol must keep its promises without them.
    pub fn is_optional(&self) -> bool {
        matches!(self, Self::Abort(_) | Self::Die { .. } | Self::Cut { .. } | Self::Repeat(_))
    }
}

/// Adds everything that can happen in `state`.
///
/// Once no more failures can happen, the detokenizer acts first: it forwards its input in order, and nobody can tell
/// when it does so.
pub fn enabled(state: &State, setup: &Setup, actions: &mut Vec<Action>) {
    let Budget { deaths: left, cuts, repeats, .. } = state.budget;
    let calm = left == [0; 3] && cuts == 0 && repeats == 0 && setup.poison.is_none();
    if calm && !state.texts.stale && !state.to_detokenizer.frames.is_empty() {
        actions.push(Action::Deliver(LinkId::ToDetokenizer));
        return;
    }
    progress(state, setup, actions);
    whims(state, setup, actions);
    deaths(state, setup, actions);
    for link in LINKS {
        let (len, stale) = length(state, link);
        if state.budget.cuts > 0 && !stale {
            // All frames may be kept: then the lost ones belong to another request, which this setup leaves out.
            actions.extend((0..=len).map(|kept| Action::Cut { link, kept }));
        }
        if state.budget.repeats > 0 && len > 0 {
            actions.push(Action::Repeat(link));
        }
    }
}

fn progress(state: &State, setup: &Setup, actions: &mut Vec<Action>) {
    for link in LINKS {
        let (len, stale) = length(state, link);
        if len > 0 {
            actions.push(Action::Deliver(link));
        }
        if stale {
            actions.push(Action::Notice(link));
        }
    }
    for request in 0..setup.requests {
        let free = state.tokenizer_manager.entries[usize::from(setup.rid(request))].is_none();
        // Of two identical requests, the first comes first.
        let turn = request == 0 || state.clients[usize::from(request) - 1].came;
        if !state.clients[usize::from(request)].came && free && turn {
            actions.push(Action::Come(request));
        }
    }
    if state.tokenizer_manager.desired < setup.log_len() {
        actions.push(Action::Control);
    }
    if setup.is_paused(state.scheduler.count()) {
        return;
    }
    for (rid, running) in (0u8..).zip(&state.scheduler.running) {
        let Some(running) = running else { continue };
        if !state.scheduler.may_run(usize::from(rid), setup.faults) {
            continue;
        }
        let kills = setup.poison.is_some_and(|p| p.request == running.request && p.position == running.next);
        if !kills {
            actions.push(Action::Step(rid));
            continue;
        }
        actions.push(Action::Poison { shared: false });
        if !state.scheduler.runs_alone(running, setup.faults) {
            actions.push(Action::Poison { shared: true });
        }
    }
}

fn whims(state: &State, setup: &Setup, actions: &mut Vec<Action>) {
    for request in 0..setup.requests {
        let client = &state.clients[usize::from(request)];
        if state.budget.aborts > 0 && client.is_waiting() && !client.aborts {
            actions.push(Action::Abort(request));
        }
    }
}

fn deaths(state: &State, setup: &Setup, actions: &mut Vec<Action>) {
    for (role, left) in ROLES.into_iter().zip(state.budget.deaths) {
        if left == 0 {
            continue;
        }
        let (first, second) = match role {
            Role::TokenizerManager => (length(state, LinkId::ToScheduler).0, 0),
            Role::Scheduler => (length(state, LinkId::ToDetokenizer).0, length(state, LinkId::Replies).0),
            Role::Detokenizer => (length(state, LinkId::Texts).0, 0),
        };
        for a in 0..=first {
            for b in 0..=second {
                actions.push(Action::Die { role, kept: [a, b], overtaken: false });
                if setup.overtaking && a > 0 && role != Role::Detokenizer {
                    actions.push(Action::Die { role, kept: [a, b], overtaken: true });
                }
            }
        }
    }
}

/// The number of frames on a link, and whether its receiver was replaced.
fn length(state: &State, link: LinkId) -> (u8, bool) {
    let (len, stale) = match link {
        LinkId::ToScheduler => (state.to_scheduler.frames.len(), state.to_scheduler.stale),
        LinkId::ToDetokenizer => (state.to_detokenizer.frames.len(), state.to_detokenizer.stale),
        LinkId::Texts => (state.texts.frames.len(), state.texts.stale),
        LinkId::Replies => (state.replies.frames.len(), state.replies.stale),
    };
    (len as u8, stale)
}
