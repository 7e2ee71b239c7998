//! The book's table is the catalogue, and each of its seeds shows what its row says.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{
    CLASSES, STATES, case,
    catalogue::{CATALOGUE, Shown, find_seed, table},
    run, run_seeds, unreachable_because,
};

#[test]
fn each_seed_of_the_catalogue_shows_its_fault_and_breaks_no_rule() {
    let mut wrong = Vec::new();
    for row in CATALOGUE {
        let Shown::Here(_, seed) = row.shown else {
            continue;
        };
        let case = case(seed);
        let outcome = run(case.clone());
        if !row.is_shown_by(&case, &outcome) {
            let other = find_seed(&row, 1000);
            wrong.push(format!("{}: {seed} does not, {other:?} does", row.fault));
        }
        assert_eq!(outcome.violation, None, "seed {seed}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_class_of_fault_is_in_the_catalogue() {
    let mut named = BTreeSet::new();
    for row in CATALOGUE {
        if let Shown::Here(words, _) = row.shown {
            named.extend(words.iter().filter_map(|word| word.split(' ').next()));
        }
    }
    // These are further ways in which streams end.
    let others = [
        "no-answer",
        "no-connect",
        "loop-pages",
        "error-event",
        "lose-tail",
        "stall",
        "wrong-kind",
    ];
    for class in CLASSES {
        assert!(named.contains(class) || others.contains(&class), "{class}");
    }
    let numbers: Vec<&str> = CATALOGUE.iter().map(|row| row.fault).collect();
    let unique: BTreeSet<&str> = numbers.iter().copied().collect();
    assert_eq!(unique.len(), numbers.len());
}

/// `UPDATE_EXPECT=1` writes the table anew.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test compares a file of the book"
)]
fn the_books_table_is_the_catalogue() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/reference/simulation.md");
    let text = fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once("<!-- catalogue -->\n").unwrap();
    let (old, tail) = rest.split_once("<!-- /catalogue -->").unwrap();
    let new = table();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let text = format!("{head}<!-- catalogue -->\n{new}<!-- /catalogue -->{tail}");
        fs::write(&path, text).unwrap();
    } else {
        assert_eq!(old, new, "UPDATE_EXPECT=1 writes it");
    }
}

/// A few seeds; CI runs many, and fails when a pair that can meet never met.
#[test]
fn faults_meet_an_informer_in_most_of_its_states() {
    let summary = run_seeds(0, 100, 2, 1);
    assert_eq!(summary.violations.len(), 0, "{:?}", summary.violations);
    let reachable = |class: &&str, state: &&str| unreachable_because(class, state).is_none();
    let pairs = CLASSES
        .iter()
        .flat_map(|class| STATES.iter().map(move |state| (class, state)));
    let pairs = pairs
        .filter(|(class, state)| reachable(class, state))
        .count();
    let mut missing = summary.coverage.missing();
    missing.retain(|(name, _)| CLASSES.contains(name));
    assert!(missing.len() * 2 < pairs, "{missing:?} of {pairs}");
}
