//! Visits every reachable state, nearest first, and looks for broken promises.
//!
//! That every run ends well is proved without assuming fairness. The number of failures is limited, so from some point
//! on an infinite run would consist only of ordinary events. The checker shows that ordinary events never lead back to
//! an earlier state, so there is no such run, and that wherever no ordinary event is left, all promises about the end
//! are kept.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::actions::{self, Action};
use crate::canonical::fingerprint;
use crate::promise::Property;
use crate::properties;
use crate::setup::Setup;
use crate::state::State;

/// Fingerprints are already well distributed.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0 << 8 | u64::from(*byte));
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// The result of an exploration.
#[derive(Debug)]
pub struct Report {
    /// Distinct states, ignoring names.
    pub states: usize,
    /// Events between them.
    pub events: usize,
    /// The states in which only a failure can happen.
    pub at_rest: usize,
    /// The first broken promise.
    pub broken: Option<Counterexample>,
}

/// A shortest sequence of events that breaks a promise.
#[derive(Debug)]
pub struct Counterexample {
    /// Which promise.
    pub property: Property,
    /// The events from the start.
    pub events: Vec<Action>,
}

/// Called for every event with the states before and after it.
pub type Visitor<'a> = &'a mut dyn FnMut(&State, &State) -> Result<(), Property>;

struct Search<'a> {
    setup: &'a Setup,
    visit: Visitor<'a>,
    known: HashMap<u64, u32, BuildHasherDefault<AsItIs>>,
    /// For each state, the predecessor and event that first reached it.
    origin: Vec<(u32, Action)>,
    /// Successors of all states in order of state number.
    successors: Vec<u32>,
    /// The end of each state's successors.
    ends: Vec<u32>,
}

/// Explores a setup until a promise is broken or every state was visited.
pub fn explore(setup: &Setup) -> Report {
    explore_with(setup, &mut |_, _| Ok(()))
}

/// As [`explore`], with an additional check of every event.
pub fn explore_with(setup: &Setup, visit: Visitor<'_>) -> Report {
    let mut search = Search {
        setup,
        visit,
        known: HashMap::default(),
        origin: Vec::new(),
        successors: Vec::new(),
        ends: Vec::new(),
    };
    let mut report = Report { states: 0, events: 0, at_rest: 0, broken: None };
    report.broken = search.run(&mut report.at_rest);
    report.states = search.origin.len();
    report.events = search.successors.len();
    report
}

impl Search<'_> {
    fn run(&mut self, at_rest: &mut usize) -> Option<Counterexample> {
        let initial = State::initial(self.setup);
        self.known.insert(fingerprint(&initial, self.setup), 0);
        self.origin.push((0, Action::Control));
        let mut level = vec![(0, initial)];
        let mut actions = Vec::new();
        while !level.is_empty() {
            let mut next_level = Vec::new();
            for (number, state) in level {
                actions.clear();
                actions::enabled(&state, self.setup, &mut actions);
                if actions.iter().all(Action::is_optional) {
                    *at_rest += 1;
                    if let Err(property) = properties::at_rest(&state, self.setup) {
                        return Some(Counterexample { property, events: self.way_to(number) });
                    }
                }
                for action in actions.drain(..) {
                    let next = state.after(action, self.setup);
                    let next = match next.and_then(|next| (self.visit)(&state, &next).map(|()| next)) {
                        Ok(next) => next,
                        Err(property) => {
                            let mut events = self.way_to(number);
                            events.push(action);
                            return Some(Counterexample { property, events });
                        }
                    };
                    let new = self.origin.len() as u32;
                    let known = *self.known.entry(fingerprint(&next, self.setup)).or_insert(new);
                    self.successors.push(known);
                    if known == new {
                        self.origin.push((number, action));
                        next_level.push((new, next));
                    }
                }
                self.ends.push(self.successors.len() as u32);
            }
            level = next_level;
        }
        let on_cycle = self.on_cycle()?;
        Some(Counterexample { property: Property::NoLivelock, events: self.way_to(on_cycle) })
    }

    fn successors_of(&self, number: usize) -> &[u32] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.successors[start..self.ends[number] as usize]
    }

    /// A state from which events lead back to it, or to another such state.
    ///
    /// Every state is removed once all its predecessors are. Failures are limited and therefore on no cycle.
    fn on_cycle(&self) -> Option<u32> {
        let mut incoming = vec![0u32; self.origin.len()];
        for to in &self.successors {
            incoming[*to as usize] += 1;
        }
        let mut free: Vec<u32> = (0u32..).zip(&incoming).filter(|(_, n)| **n == 0).map(|(i, _)| i).collect();
        while let Some(number) = free.pop() {
            for to in self.successors_of(number as usize) {
                incoming[*to as usize] -= 1;
                if incoming[*to as usize] == 0 {
                    free.push(*to);
                }
            }
        }
        (0u32..).zip(&incoming).find(|(_, n)| **n > 0).map(|(i, _)| i)
    }

    fn way_to(&self, number: u32) -> Vec<Action> {
        let mut events = Vec::new();
        let mut at = number;
        while at > 0 {
            let (from, action) = self.origin[at as usize];
            events.push(action);
            at = from;
        }
        events.reverse();
        events
    }
}
