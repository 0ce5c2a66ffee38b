//! The protocol keeps its promises, whatever dies, is lost, duplicated or late. Each test explores its setup
//! completely.

use sglang_recovery_model::checker::{Report, explore, explore_with};
use sglang_recovery_model::projection::steps_alike;
use sglang_recovery_model::promise::Property;
use sglang_recovery_model::setup::{Op, Poison, Setup};

#[track_caller]
fn holds(setup: &Setup) -> Report {
    let report = explore(setup);
    println!("{} states, {} events: {setup:?}", report.states, report.events);
    assert!(report.broken.is_none(), "{:#?}", report.broken);
    assert!(report.at_rest > 0);
    report
}

/// One request alone. What holds for it holds for each of many: see `every_request_goes_as_if_it_were_alone`.
fn alone() -> Setup {
    Setup { requests: 1, ..Setup::calm() }
}

#[test]
fn one_request_and_two_deaths_of_every_role() {
    holds(&Setup { deaths: [2, 2, 2], ..alone() });
}

#[test]
fn two_requests_and_two_deaths_of_a_tokenizer_manager() {
    holds(&Setup { deaths: [2, 0, 0], overtaking: true, ..Setup::calm() });
}

#[test]
fn two_requests_and_two_deaths_of_a_scheduler() {
    holds(&Setup { deaths: [0, 2, 0], ..Setup::calm() });
}

#[test]
fn two_requests_and_two_deaths_of_a_detokenizer() {
    holds(&Setup { deaths: [0, 0, 2], ..Setup::calm() });
}

#[test]
fn two_requests_and_a_death_of_a_tokenizer_manager_and_another_role() {
    holds(&Setup { deaths: [1, 1, 0], ..Setup::calm() });
    holds(&Setup { deaths: [1, 0, 1], ..Setup::calm() });
}

#[test]
fn two_requests_and_a_death_of_scheduler_and_detokenizer() {
    holds(&Setup { deaths: [0, 1, 1], ..Setup::calm() });
}

#[test]
fn a_request_that_has_the_id_of_an_earlier_one() {
    holds(&Setup { same_rid: true, deaths: [1, 1, 1], ..Setup::calm() });
    holds(&Setup { same_rid: true, aborts: 1, deaths: [1, 1, 0], overtaking: true, ..Setup::calm() });
    holds(&Setup { same_rid: true, aborts: 2, deaths: [1, 0, 1], ..Setup::calm() });
}

#[test]
fn links_that_are_cut_while_roles_die() {
    holds(&Setup { cuts: 2, ..Setup::calm() });
    for deaths in [[1, 0, 0], [0, 1, 0], [0, 0, 1]] {
        holds(&Setup { cuts: 2, repeats: 1, deaths, ..alone() });
    }
    holds(&Setup { cuts: 1, deaths: [1, 1, 1], ..alone() });
}

#[test]
fn clients_that_abort_while_roles_die() {
    holds(&Setup { aborts: 2, ..Setup::calm() });
    holds(&Setup { aborts: 1, deaths: [1, 1, 1], overtaking: true, ..alone() });
    holds(&Setup { aborts: 1, deaths: [0, 2, 0], cuts: 1, ..alone() });
}

#[test]
fn control_operations_while_roles_die() {
    for ops in [vec![Op::Change; 2], vec![Op::Pause, Op::Continue]] {
        holds(&Setup { ops: ops.clone(), ..Setup::calm() });
        holds(&Setup { ops: ops.clone(), deaths: [1, 1, 0], ..alone() });
        holds(&Setup { ops, deaths: [0, 1, 0], cuts: 1, ..alone() });
    }
}

#[test]
fn a_request_that_kills_schedulers() {
    for position in 0..3 {
        let setup = Setup { poison: Some(Poison { request: 0, position }), ..Setup::calm() };
        holds(&setup);
    }
}

#[test]
fn a_request_that_kills_schedulers_while_roles_die() {
    let setup = Setup { poison: Some(Poison { request: 0, position: 1 }), ..Setup::calm() };
    for deaths in [[1, 0, 0], [0, 1, 0], [0, 0, 1]] {
        holds(&Setup { deaths, ..setup.clone() });
    }
}

/// Why one request alone shows what happens to two, or any number: every event of two requests is, for each of them, an
/// event of the system with that request alone, or nothing.
#[test]
fn every_request_goes_as_if_it_were_alone() {
    for (deaths, cuts, aborts) in [([0, 1, 0], 0, 0), ([1, 0, 0], 0, 1), ([0, 0, 1], 0, 0), ([0, 0, 0], 1, 1)]
    {
        let together = Setup { deaths, cuts, aborts, ..Setup::calm() };
        let alone = Setup { requests: 1, ..together.clone() };
        let report = explore_with(&together, &mut |before, after| match (0..2)
            .all(|request| steps_alike(before, after, request, &alone))
        {
            true => Ok(()),
            false => Err(Property::RequestsAreIndependent),
        });
        println!("{} states, {} events: {together:?}", report.states, report.events);
        assert!(report.broken.is_none(), "{:#?}", report.broken);
    }
}
