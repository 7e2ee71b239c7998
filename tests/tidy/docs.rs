//! What the prose points at is there: links, files, tests, quoted code, and the numbers of the design.
//!
//! Does not need mdbook. Code is quoted after a line `<!-- quote: path -->`, and has to stand in that file word
//! for word, indentation aside.

use std::{collections::BTreeSet, path::Path};

use crate::{names, report, tree};

/// The page that holds what the code cites by number.
const DESIGN: &str = "docs/src/why/design.md";

/// Most lines of ARCHITECTURE.md.
const ARCHITECTURE_LINES_MAX: usize = 150;

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for file in tree::files(&["md"]) {
        let folder = Path::new(&file.path)
            .parent()
            .unwrap_or_else(|| Path::new(""));
        for (at, found) in file.text.match_indices("](") {
            let rest = &file.text[at + found.len()..];
            let target = rest.split([')', '\n']).next().unwrap_or_default();
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || target.contains("://") {
                continue;
            }
            if !tree::root().join(folder).join(path).exists() {
                wrong.push(format!("{}: {target}", file.path));
            }
        }
    }
    report("links that lead nowhere", &wrong);
}

#[test]
fn every_page_is_in_the_summary() {
    let summary = tree::read("docs/src/SUMMARY.md");
    let wrong: Vec<_> = tree::files(&["md"])
        .iter()
        .filter_map(|file| file.path.strip_prefix("docs/src/"))
        .filter(|page| *page != "SUMMARY.md" && !summary.contains(&format!("({page})")))
        .map(str::to_owned)
        .collect();
    report("pages that the summary does not have", &wrong);
}

#[test]
fn files_and_tests_that_the_prose_names_are_there() {
    let tests = names::tests();
    let tests: BTreeSet<&str> = tests.iter().map(|test| test.name.as_str()).collect();
    let folders = [".ci/", "benches/", "crates/", "docs/", "fuzz/", "tests/"];
    let families = ["cg_", "ctl_", "inv_", "pr_", "sec_"];
    let mut wrong = Vec::new();
    for file in tree::files(&["md"]) {
        for line in file.text.lines() {
            for quoted in line.split('`').skip(1).step_by(2) {
                let is_path = folders.iter().any(|folder| quoted.starts_with(folder))
                    && !quoted.contains(|letter: char| letter == ' ' || "*<>{}".contains(letter));
                let is_test = families.iter().any(|family| quoted.starts_with(family))
                    && !names::ids_in_name(quoted).is_empty()
                    && !quoted.contains("..");
                if is_path && !tree::root().join(quoted).exists() && !is_built(quoted) {
                    wrong.push(format!("{}: no file {quoted}", file.path));
                }
                if is_test && !tests.contains(quoted) {
                    wrong.push(format!("{}: no test {quoted}", file.path));
                }
            }
        }
    }
    report("what the prose names", &wrong);
}

/// The page of bad input, where every row ends with the test that sends it.
const BAD_INPUT: &str = "docs/src/failure/bad-input.md";

#[test]
fn every_bad_input_has_its_test() {
    let tests = names::tests();
    let is_there = |name: &str| {
        let mut named = tests.iter().filter(|test| test.name == name);
        named.any(|test| test.path.starts_with("tests/integration/"))
    };
    let page = tree::read(BAD_INPUT);
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let (mut wrong, mut named) = (Vec::new(), BTreeSet::new());
    for row in rows.skip(1) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let name = cells.last().copied().unwrap_or_default().trim_matches('`');
        if cells.len() != 5 || cells.iter().any(|cell| cell.is_empty()) {
            wrong.push(format!("not five full cells: {row}"));
        } else if !is_there(name) {
            wrong.push(format!("no test {name:?} over real sockets"));
        }
        named.insert(name.to_owned());
    }
    assert!(named.len() >= 12, "the rows are not found");
    let sent = tests
        .iter()
        .filter(|test| test.path.starts_with("tests/integration/bad_"));
    let unnamed = sent.filter(|test| !named.contains(&test.name));
    wrong.extend(unnamed.map(|test| format!("{} is in no row", test.name)));
    report("rows and tests of bad input", &wrong);
}

/// The page of hostile servers, where every row ends with the test that plays it.
const HOSTILE: &str = "docs/src/failure/hostile-servers.md";

#[test]
fn every_hostile_server_has_its_row() {
    let page = tree::read(HOSTILE);
    let named: BTreeSet<&str> = page
        .lines()
        .filter(|line| line.starts_with("| ") && line.ends_with("` |"))
        .filter_map(|line| line.trim_end_matches("` |").rsplit('`').next())
        .collect();
    let tests = names::tests();
    let played: BTreeSet<&str> = tests
        .iter()
        .filter(|test| test.path.starts_with("tests/hostile/"))
        .map(|test| test.name.as_str())
        .collect();
    assert!(played.len() >= 100, "the rows are not found");
    let wrong: Vec<&&str> = named.symmetric_difference(&played).collect();
    let wrong: Vec<_> = wrong.iter().map(|name| (**name).to_owned()).collect();
    report("rows without a test, and tests without a row", &wrong);
}

#[test]
fn quoted_code_is_the_code() {
    let mut wrong = Vec::new();
    let mut quotes = 0;
    for file in tree::files(&["md"]) {
        for part in file.text.split("\n<!-- quote: ").skip(1) {
            quotes += 1;
            let (path, rest) = part.split_once(" -->").unwrap_or_default();
            let block = rest.split("```").nth(1).unwrap_or_default();
            let quoted = block.split_once('\n').map_or("", |(_, code)| code);
            let source = std::fs::read_to_string(tree::root().join(path)).unwrap_or_default();
            if quoted.trim().is_empty() || !flush(&source).contains(flush(quoted).trim()) {
                wrong.push(format!("{}: from {path}: {quoted}", file.path));
            }
        }
    }
    assert!(quotes > 0, "the quotes are not found");
    report("quotes that are not the code (any more)", &wrong);
}

/// A text without its indentation.
fn flush(text: &str) -> String {
    text.lines().flat_map(|line| [line.trim(), "\n"]).collect()
}

/// Only there after a build.
fn is_built(path: &str) -> bool {
    path.contains("/target/") || path.ends_with("/book")
}

#[test]
fn the_design_that_the_code_cites_is_written_down() {
    let page = tree::read(DESIGN);
    let known: BTreeSet<&str> = page
        .lines()
        .filter(|line| line.starts_with("##"))
        .filter_map(|line| line.split(' ').nth(1))
        .collect();
    let mut wrong = Vec::new();
    for file in tree::files(&["rs"]) {
        let cited = concat!("DES", "IGN ");
        for (at, found) in file.text.match_indices(cited) {
            let number: String = file.text[at + found.len()..]
                .chars()
                .take_while(|letter| letter.is_ascii_digit() || *letter == '.')
                .collect();
            let number = number.trim_end_matches('.');
            if !number.is_empty() && !known.contains(number) {
                wrong.push(format!("{}: {cited}{number}", file.path));
            }
        }
    }
    report("rulings that docs/src/why/design.md does not have", &wrong);
}

#[test]
fn the_map_fits_on_three_screens() {
    let lines = tree::read("ARCHITECTURE.md").lines().count();
    assert!(
        lines <= ARCHITECTURE_LINES_MAX,
        "ARCHITECTURE.md has {lines} lines"
    );
}
