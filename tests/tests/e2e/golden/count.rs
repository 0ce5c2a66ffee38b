//! docs/api.md states how many exchanges are answered alike; the number is checked here.

use std::collections::BTreeSet;

use sglang_golden::{INTENDED, MOVED, NOT_REPLAYED, SETS, exchanges};

#[test]
fn the_documentation_says_how_many_exchanges_are_alike() {
    let docs = include_str!("../../../../docs/api.md");
    let names: BTreeSet<String> = SETS
        .iter()
        .flat_map(|set| exchanges(set))
        .map(|exchange| format!("{}/{}", exchange.set, exchange.name))
        .collect();
    let different: BTreeSet<&str> = INTENDED.iter().map(|entry| entry.exchange).collect();
    let left_out: BTreeSet<&str> = NOT_REPLAYED.iter().map(|(exchange, _)| *exchange).collect();
    for name in different.union(&left_out) {
        assert!(names.contains(*name), "there is no exchange {name}");
    }
    let alike = names.len() - different.len() - left_out.len();
    let sentence = format!(
        "Of {} recorded exchanges {alike} are answered alike, {} differ on purpose, {} are not replayed",
        names.len(),
        different.len(),
        left_out.len()
    );
    assert!(docs.contains(&sentence), "docs/api.md should say: {sentence}");
    for entry in INTENDED {
        let row = format!("| {} |", entry.row);
        assert!(docs.contains(&row), "{}: docs/api.md has no row {row}", entry.exchange);
    }
    for place in MOVED {
        assert!(docs.contains(&format!("| {} |", place.row)), "docs/api.md has no row {}", place.row);
    }
    for (exchange, why) in NOT_REPLAYED {
        assert!(docs.contains(why), "{exchange}: docs/api.md does not say {why:?}");
    }
}
