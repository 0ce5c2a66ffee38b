//! Treats states that differ only in names as one state.

use ahash::RandomState;

use crate::frames::{Attempt, Ending, Output, REQUESTS, Reply, Text, ToScheduler};
use crate::setup::Setup;
use crate::state::State;

/// Fixed, so that runs are reproducible.
fn hasher() -> RandomState {
    RandomState::with_seeds(1, 2, 3, 4)
}

/// A number that is equal for states that differ only in names. Other states collide once in 2^64.
pub fn fingerprint(state: &State, setup: &Setup) -> u64 {
    let hasher = hasher();
    let mut state = state.clone();
    forget_what_is_over(&mut state, setup);
    rename_attempts(&mut state);
    rename_epochs(&mut state);
    let own = hash(&hasher, &state);
    if !setup.is_symmetric() {
        return own;
    }
    swap_requests(&mut state);
    own.min(hash(&hasher, &state))
}

fn hash(hasher: &RandomState, state: &State) -> u64 {
    hasher.hash_one(state)
}

/// Forgets what a client has seen once its request has ended, and how it ended unless a request is poison.
fn forget_what_is_over(state: &mut State, setup: &Setup) {
    for client in state.clients.iter_mut().filter(|client| client.ended.is_some()) {
        client.shown = 0;
        client.aborts = false;
        client.ended = client.ended.filter(|_| setup.poison.is_some()).or(Some(Ending::Finished));
    }
}

/// Renumbers the epochs of each life from 1: only equality matters.
fn rename_epochs(state: &mut State) {
    let mut seen = [[0u32; 8]; 2];
    each_epoch(state, &mut |role, life, epoch| seen[role][usize::from(life) % 8] |= 1 << (*epoch % 32));
    each_epoch(state, &mut |role, life, epoch| *epoch = rank(seen[role][usize::from(life) % 8], *epoch));
}

/// Calls `f` with role, life and number of every epoch.
fn each_epoch(state: &mut State, f: &mut impl FnMut(usize, u8, &mut u8)) {
    f(0, state.scheduler.life, &mut state.scheduler.epoch);
    f(1, state.detokenizer.life, &mut state.detokenizer.epoch);
    if let Some(peer) = &mut state.tokenizer_manager.scheduler {
        f(0, peer.life, &mut peer.epoch);
    }
    if let Some(peer) = &mut state.tokenizer_manager.detokenizer {
        f(1, peer.life, &mut peer.epoch);
    }
    for envelope in &mut state.replies.frames {
        if let Reply::Hello { epoch, .. } = &mut envelope.frame {
            f(0, envelope.from, epoch);
        }
    }
    for envelope in &mut state.texts.frames {
        if let Text::Hello { epoch } = &mut envelope.frame {
            f(1, envelope.from, epoch);
        }
    }
}

/// Rank of a number among those in `seen`, from 1. 0 means none and stays 0.
fn rank(seen: u32, number: u8) -> u8 {
    let below = (1u32 << (number % 32)) - 1;
    u8::from(number > 0) + (seen & below & !1).count_ones() as u8
}

/// Renumbers the attempts of each id and life from 1: only their order matters.
fn rename_attempts(state: &mut State) {
    // The numbers that occur, by id and life, as bits.
    let mut seen = [[0u32; 8]; REQUESTS];
    each_attempt(state, &mut |rid, life, number| {
        seen[rid][usize::from(life) % 8] |= 1 << (*number % 32);
    });
    each_attempt(state, &mut |rid, life, number| {
        *number = rank(seen[rid][usize::from(life) % 8], *number);
    });
}

/// Calls `f` with id, life and number of every attempt.
fn each_attempt(state: &mut State, f: &mut impl FnMut(usize, u8, &mut u8)) {
    let of = |f: &mut dyn FnMut(usize, u8, &mut u8), rid: u8, attempt: &mut Attempt| {
        f(usize::from(rid), attempt.life, &mut attempt.number);
    };
    let life = state.tokenizer_manager.life;
    for rid in 0..REQUESTS {
        f(rid, life, &mut state.tokenizer_manager.issued[rid]);
        if let Some(entry) = &mut state.tokenizer_manager.entries[rid] {
            f(rid, life, &mut entry.attempt);
        }
        if let Some(running) = &mut state.scheduler.running[rid] {
            of(f, rid as u8, &mut running.attempt);
        }
        if let Some(decoder) = &mut state.detokenizer.decoders[rid] {
            of(f, rid as u8, &mut decoder.attempt);
        }
    }
    for envelope in &mut state.to_scheduler.frames {
        if let ToScheduler::Submit { rid, attempt, .. } | ToScheduler::Abort { rid, attempt } =
            &mut envelope.frame
        {
            of(f, *rid, attempt);
        }
    }
    for envelope in &mut state.to_detokenizer.frames {
        if let Output::Frame { rid, attempt, .. } | Output::End { rid, attempt, .. } = &mut envelope.frame {
            of(f, *rid, attempt);
        }
    }
    for envelope in &mut state.texts.frames {
        if let Text::Frame { rid, attempt, .. } | Text::End { rid, attempt, .. } = &mut envelope.frame {
            of(f, *rid, attempt);
        }
    }
    for envelope in &mut state.replies.frames {
        if let Reply::End { rid, attempt } = &mut envelope.frame {
            of(f, *rid, attempt);
        }
    }
}

/// Swaps the names of the two requests.
fn swap_requests(state: &mut State) {
    let other = |name: &mut u8| *name = 1 - *name;
    let manager = &mut state.tokenizer_manager;
    manager.issued.swap(0, 1);
    manager.entries.swap(0, 1);
    state.scheduler.running.swap(0, 1);
    state.detokenizer.decoders.swap(0, 1);
    state.clients.swap(0, 1);
    manager.entries.iter_mut().flatten().for_each(|entry| other(&mut entry.request));
    state.scheduler.running.iter_mut().flatten().for_each(|running| other(&mut running.request));
    state.detokenizer.decoders.iter_mut().flatten().for_each(|decoder| other(&mut decoder.request));
    for envelope in &mut state.to_scheduler.frames {
        match &mut envelope.frame {
            ToScheduler::Submit { rid, request, .. } => {
                other(rid);
                other(request);
            }
            ToScheduler::Abort { rid, .. } => other(rid),
            ToScheduler::Hello | ToScheduler::Control { .. } => {}
        }
    }
    for envelope in &mut state.to_detokenizer.frames {
        match &mut envelope.frame {
            Output::Frame { rid, request, .. } => {
                other(rid);
                other(request);
            }
            Output::End { rid, .. } => other(rid),
            Output::Hello => {}
        }
    }
    for envelope in &mut state.texts.frames {
        match &mut envelope.frame {
            Text::Frame { rid, piece, .. } => {
                other(rid);
                other(&mut piece.request);
            }
            Text::End { rid, .. } => other(rid),
            Text::Hello { .. } => {}
        }
    }
    for envelope in &mut state.replies.frames {
        if let Reply::End { rid, .. } = &mut envelope.frame {
            other(rid);
        }
    }
}
