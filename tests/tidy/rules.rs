//! The rules of the protocol, the code that cites them and the tests that carry them.
//!
//! Does not judge a test: a rule counts as tested when a test's name or doc comment has its id.
//!
//! U1  Every id that code or a test cites is a row of `docs/src/reference/rules.md`.
//! U2  A row says `tested` exactly when a test carries its id, and `cited` only when code names it; else
//!     it says `open`, or `n/a: ` with the reason why nothing here could obey it (yet), which whoever makes
//!     the rule apply takes away. `override` stands before it where Tidings differs from client-go on purpose, and
//!     those rows are the ones of `docs/src/why/overrides.md`.
//! U3  Every test and every file that a row names is there.
//!
//! `UPDATE_EXPECT=1` writes the last two columns anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use crate::{
    names::{self, Test},
    report, tree,
};

const RULES: &str = "docs/src/reference/rules.md";

/// Most tests, or files, that one row names.
const NAMED_MAX: usize = 2;

#[derive(Clone)]
struct Row {
    id: String,
    sentence: String,
    source: String,
    status: String,
    place: String,
}

#[test]
fn every_rule_that_is_cited_is_known() {
    let known: BTreeSet<String> = rows(&tree::read(RULES)).map(|row| row.id).collect();
    let mut wrong = Vec::new();
    for file in tree::files(&["rs"]) {
        if file.path.starts_with("tests/tidy/") {
            continue;
        }
        for id in names::ids_in_text(&file.text) {
            if !known.contains(&id) {
                wrong.push(format!("{}: {id}", file.path));
            }
        }
    }
    for test in names::tests() {
        for id in test.ids.iter().filter(|id| !known.contains(*id)) {
            wrong.push(format!("{}: {} carries {id}", test.path, test.name));
        }
    }
    report("rules that rules.md does not know", &wrong);
}

#[test]
fn every_rules_status_is_true() {
    let text = tree::read(RULES);
    let tests = names::tests();
    let by_rule = names::tests_by_rule(&tests);
    let citing = citing_files();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let path = tree::root().join(RULES);
        fs::write(path, rewritten(&text, &by_rule, &citing)).expect("rules.md is written");
        return;
    }
    let test_names: BTreeSet<&str> = tests.iter().map(|test| test.name.as_str()).collect();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for row in rows(&text) {
        if !seen.insert(row.id.clone()) {
            wrong.push(format!("{} has two rows", row.id));
        }
        let status = status(&row, &by_rule, &citing);
        // A rule that code begins to cite may say `open` until the page is written anew.
        let is_modest = row.status.replace("open", "cited") == status;
        if row.status != status && !is_modest {
            wrong.push(format!(
                "{} is `{}`, but should be `{status}`",
                row.id, row.status
            ));
        }
        for name in row.place.split('`').skip(1).step_by(2) {
            let is_there = test_names.contains(name) || tree::root().join(name).exists();
            if !is_there {
                wrong.push(format!("{} names `{name}`, which is not there", row.id));
            }
        }
    }
    let how = "UPDATE_EXPECT=1 cargo test -p tidings-tests --test tidy";
    report(
        &format!("rules.md is not what the tests are ({how})"),
        &wrong,
    );
}

#[test]
fn every_override_has_its_reason() {
    let reasons = tree::read("docs/src/why/overrides.md");
    let with_reason: BTreeSet<String> = reasons
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .flat_map(names::ids_in_text)
        .collect();
    let marked: BTreeSet<String> = rows(&tree::read(RULES))
        .filter(|row| row.status.starts_with("override"))
        .map(|row| row.id)
        .collect();
    let wrong: Vec<_> = with_reason.symmetric_difference(&marked).cloned().collect();
    report(
        "overrides that only one of rules.md and overrides.md has",
        &wrong,
    );
}

/// The rows of the page's tables: those whose first cell is an id.
fn rows(text: &str) -> impl Iterator<Item = Row> + '_ {
    text.lines().filter_map(row)
}

fn row(line: &str) -> Option<Row> {
    let cells: Vec<&str> = line
        .strip_prefix("| ")?
        .strip_suffix(" |")?
        .split(" | ")
        .collect();
    let [id, sentence, source, status, place] = cells.as_slice() else {
        return None;
    };
    let is_id = !names::ids_in_text(id).is_empty() || SECTIONS.contains(id);
    is_id.then(|| Row {
        id: (*id).to_owned(),
        sentence: (*sentence).to_owned(),
        source: (*source).to_owned(),
        status: (*status).to_owned(),
        place: (*place).to_owned(),
    })
}

/// Whole sections that tests name: the decision table, and client-go's credential plugins.
const SECTIONS: [&str; 2] = ["cg-1.6", "pr-1.7"];

/// What stands before the reason why a rule binds nothing that is there.
const NOT_APPLICABLE: &str = "n/a: ";

fn status(
    row: &Row,
    by_rule: &BTreeMap<&str, Vec<&Test>>,
    citing: &BTreeMap<String, Vec<String>>,
) -> String {
    let status = if by_rule.contains_key(row.id.as_str()) {
        "tested"
    } else if citing.contains_key(&row.id) {
        "cited"
    } else if row
        .status
        .strip_prefix(NOT_APPLICABLE)
        .is_some_and(|reason| !reason.is_empty())
    {
        return row.status.clone();
    } else {
        "open"
    };
    let is_override = row.status.starts_with("override");
    let prefix = if is_override { "override, " } else { "" };
    format!("{prefix}{status}")
}

fn rewritten(
    text: &str,
    by_rule: &BTreeMap<&str, Vec<&Test>>,
    citing: &BTreeMap<String, Vec<String>>,
) -> String {
    let mut out = String::new();
    for line in text.lines() {
        match row(line) {
            None => out.push_str(line),
            Some(row) => {
                let status = status(&row, by_rule, citing);
                let place = place(&row.id, by_rule, citing);
                let Row {
                    id,
                    sentence,
                    source,
                    ..
                } = row;
                out.push_str(&format!(
                    "| {id} | {sentence} | {source} | {status} | {place} |"
                ));
            }
        }
        out.push('\n');
    }
    out
}

/// The tests of a rule, else the files that cite it, else a dash.
fn place(
    id: &str,
    by_rule: &BTreeMap<&str, Vec<&Test>>,
    citing: &BTreeMap<String, Vec<String>>,
) -> String {
    let names: Vec<&str> = match (by_rule.get(id), citing.get(id)) {
        (Some(tests), _) => tests.iter().map(|test| test.name.as_str()).collect(),
        (None, Some(files)) => files.iter().map(String::as_str).collect(),
        (None, None) => return "-".to_owned(),
    };
    let mut place: Vec<String> = names
        .iter()
        .take(NAMED_MAX)
        .map(|name| format!("`{name}`"))
        .collect();
    if names.len() > NAMED_MAX {
        place.push(format!("and {} more", names.len() - NAMED_MAX));
    }
    place.join(", ")
}

fn citing_files() -> BTreeMap<String, Vec<String>> {
    let mut citing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in tree::files(&["rs"]) {
        if file.path.starts_with("tests/tidy/") {
            continue;
        }
        for id in names::ids_in_text(file.code_part()) {
            citing.entry(id).or_default().push(file.path.clone());
        }
    }
    citing
}
