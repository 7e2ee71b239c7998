//! The page that leads from client-go's tests to ours.
//!
//! Does not judge whether a test pins the case.
//!
//! T1  Every case either names a test or says why it does not apply.
//! T2  Every test that the page names is there.

use std::collections::BTreeSet;

use crate::{names, report, tree};

const PAGE: &str = "docs/src/reference/upstream-tests.md";

/// What is quoted and has so many words is the name of a test.
const NAME_WORDS_MIN: usize = 4;

#[test]
fn every_upstream_case_leads_to_a_test_that_is_there() {
    let tests = names::tests();
    let tests: BTreeSet<&str> = tests.iter().map(|test| test.name.as_str()).collect();
    let text = tree::read(PAGE);
    let mut wrong = Vec::new();
    let mut cases = 0;
    for line in text.lines() {
        let Some((case, here)) = cells(line) else {
            continue;
        };
        cases += 1;
        let quoted = here.split('`').skip(1).step_by(2);
        let named: Vec<&str> = quoted
            .filter(|quoted| quoted.split('_').count() >= NAME_WORDS_MIN)
            .collect();
        if named.is_empty() && !here.starts_with("does not apply") {
            wrong.push(format!("{case}: neither a test nor a reason"));
        }
        for name in named.into_iter().filter(|name| !tests.contains(name)) {
            wrong.push(format!("{case}: no test {name}"));
        }
    }
    assert!(cases > 60, "the cases are not found");
    report("cases of client-go's tests", &wrong);
}

/// The two cells of a row of a table, its head aside.
fn cells(line: &str) -> Option<(&str, &str)> {
    let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let (case, here) = row.split_once(" | ")?;
    (here != "here").then_some((case, here))
}
