//! The broken engines of `tests/mutants` can still be made, and the page lists every one of them.
//!
//! Does not build them: `tests/mutants/run` does.

use std::process::Command;

use crate::{report, tree};

/// The page with the table.
const PAGE: &str = "docs/src/reference/mutants.md";

/// The lines with which a patch begins, in this order.
const HEADER: [&str; 3] = ["Broken: ", "Stands for: ", "Caught by: "];

#[test]
fn every_mutant_applies_and_is_in_the_table() {
    let page = tree::read(PAGE);
    let mut wrong = Vec::new();
    let patches = tree::files(&["patch"]);
    assert!(patches.len() >= 20, "a set of mutants");
    for patch in &patches {
        let name = patch.path.rsplit('/').next().unwrap_or_default();
        let name = name.trim_end_matches(".patch");
        let mut lines = patch.text.lines();
        for start in HEADER {
            if !lines.next().is_some_and(|line| line.starts_with(start)) {
                wrong.push(format!("{name}: no line {start:?} where it belongs"));
            }
        }
        if !page.contains(&format!("| `{name}` |")) {
            wrong.push(format!("{name}: {PAGE} does not have it"));
        }
        let checked = Command::new("git")
            .current_dir(tree::root())
            .args(["apply", "--check", &patch.path])
            .output();
        match checked {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                wrong.push(format!("{name}: {}", said.trim_end()));
            }
            Err(error) => wrong.push(format!("{name}: git: {error}")),
        }
    }
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    if rows.count() != patches.len() {
        wrong.push(format!("{PAGE} has a row for what is no mutant"));
    }
    report("mutants", &wrong);
}
