//! Checks the promises.

use crate::frames::{Ending, Envelope, Mark, ToScheduler};
use crate::promise::Property;
use crate::setup::Setup;
use crate::state::State;

/// What must hold in every state.
///
/// # Errors
/// The first promise that is broken.
pub fn always(state: &State, setup: &Setup) -> Result<(), Property> {
    let applied = &state.scheduler.applied;
    let in_order = (1u8..).zip(applied).all(|(place, index)| *index == place || *index == 0);
    // The launcher's copy is written first, so no scheduler is ahead of every log.
    if !in_order || state.scheduler.count() > state.launcher.kept {
        return Err(Property::DesiredStateHolds);
    }
    if state.poisoned > 2 {
        return Err(Property::TwoRestartsAtMost);
    }
    let orphan = (0..setup.requests).any(|rid| is_orphan(state, rid));
    if orphan { Err(Property::NoOrphans) } else { Ok(()) }
}

/// Whether the scheduler has a request that nobody wants and that nothing in transit will end.
fn is_orphan(state: &State, rid: u8) -> bool {
    let Some(running) = &state.scheduler.running[usize::from(rid)] else { return false };
    let manager = &state.tokenizer_manager;
    let entry = manager.entries[usize::from(rid)].filter(|entry| entry.request == running.request);
    if entry.is_some_and(|entry| !entry.aborting) {
        return false;
    }
    let on_its_way = |envelope: &Envelope<ToScheduler>| {
        let new_life = state.scheduler.tokenizer_manager < Some(envelope.from);
        let ends = matches!(envelope.frame, ToScheduler::Abort { rid: named, .. } if named == rid);
        // A gap is reported, and the reaction to the report covers every request in the ledger.
        new_life || ends || (entry.is_some() && envelope.mark == Mark::AfterGap)
    };
    if state.to_scheduler.frames.iter().any(on_its_way) {
        return false;
    }
    let told = manager.scheduler.is_some_and(|peer| peer.epoch == state.scheduler.epoch);
    entry.is_none() || (told && !state.to_scheduler.stale)
}

/// What must hold if only a new failure can happen.
///
/// # Errors
/// The first promise that is broken.
pub fn at_rest(state: &State, setup: &Setup) -> Result<(), Property> {
    let clients = &state.clients[..usize::from(setup.requests)];
    let all_ended = clients.iter().all(|client| client.came && client.ended.is_some());
    let nothing_left = state.tokenizer_manager.entries.iter().all(Option::is_none)
        && state.scheduler.running.iter().all(Option::is_none)
        && state.detokenizer.decoders.iter().all(Option::is_none)
        && state.links_are_quiet();
    if !all_ended || !nothing_left {
        return Err(Property::ComesToRest);
    }
    let log = setup.log_len();
    let agreed = [state.launcher.kept, state.tokenizer_manager.desired, state.scheduler.count()];
    if agreed != [log; 3] || state.tokenizer_manager.confirmed != log {
        return Err(Property::DesiredStateHolds);
    }
    let poison = setup.poison.map(|poison| poison.request);
    let unharmed = (0u8..).zip(clients).all(|(request, client)| match client.ended {
        Some(Ending::Finished) => Some(request) != poison,
        _ => true,
    });
    if unharmed { Ok(()) } else { Err(Property::InnocentsComplete) }
}
