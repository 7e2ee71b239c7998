//! The rules of the house that a machine can check.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The Rust sources of this repository, with their text.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                open.push(path);
            } else if name.ends_with(".rs") {
                let shown = path
                    .strip_prefix(root())
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                found.push((shown, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(found.len() > 100, "the sources are found: {}", found.len());
    found
}

/// The table between the `edges` markers of ARCHITECTURE.md.
fn allowed_edges() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let table = text.split("<!-- edges -->").nth(1).unwrap();
    let table = table.split("<!-- /edges -->").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| tidings"));
    let row = |line: &str| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let name = cells.next().unwrap().to_owned();
        let may = cells
            .next()
            .unwrap_or_default()
            .split(", ")
            .filter(|name| !name.is_empty());
        (name, may.map(str::to_owned).collect())
    };
    rows.map(row).collect()
}

#[test]
fn crates_import_what_the_architecture_allows_and_nothing_else() {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let allowed = allowed_edges();
    let mut seen = 0;
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if !package["manifest_path"]
            .as_str()
            .unwrap()
            .contains("/crates/")
        {
            continue;
        }
        seen += 1;
        let normal = package["dependencies"].as_array().unwrap().iter();
        let normal = normal.filter(|dependency| dependency["kind"].is_null());
        let names: BTreeSet<&str> = normal
            .map(|dependency| dependency["name"].as_str().unwrap())
            .collect();
        let ours: BTreeSet<String> = names
            .iter()
            .filter(|name| name.starts_with("tidings"))
            .map(|&name| name.to_owned())
            .collect();
        assert_eq!(Some(&ours), allowed.get(name), "{name}");
        if ["tidings-scan", "tidings-api", "tidings-engine"].contains(&name) {
            for banned in ["tokio", "hyper", "rustls", "parking_lot"] {
                assert!(
                    !names.contains(banned),
                    "{name} is pure and must not import {banned}"
                );
            }
        }
    }
    assert_eq!(seen, allowed.len(), "each crate has its row");
}

#[test]
fn every_file_says_what_it_is_and_is_ascii() {
    for (path, text) in sources() {
        let first = text
            .lines()
            .find(|line| !line.starts_with("#!"))
            .unwrap_or_default();
        let is_fuzz = path.starts_with("fuzz/");
        assert!(first.starts_with("//!") || is_fuzz, "{path} has no header");
        if let Some(line) = text.lines().position(|line| !line.is_ascii()) {
            panic!("{path}:{} is not ASCII", line + 1);
        }
    }
}

#[test]
fn no_file_outgrows_its_reader() {
    for (path, text) in sources() {
        let is_test = path.contains("tests") || path.starts_with("benches/");
        let lines = text.lines().count();
        assert!(is_test || lines <= 800, "{path} has {lines} lines");
    }
}

#[test]
fn nothing_is_left_open_ignored_or_slept() {
    // Spelled apart, so that this file does not find itself.
    let words = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["todo", "!"],
        ["unimplemented", "!"],
    ];
    let ignore = ["#[", "ignore"].concat();
    let sleep = ["::sle", "ep("].concat();
    for (path, text) in sources() {
        for word in words.map(|word| word.concat()) {
            assert!(!text.contains(&word), "{path} has {word}");
        }
        assert!(!text.contains(&ignore), "{path} ignores a test");
        let is_test = path.contains("tests/") || path.ends_with("tests.rs");
        assert!(
            !is_test || !text.contains(&sleep),
            "{path} sleeps in a test"
        );
    }
}

/// Ids like cg-R20, pr-W12, INV-S5 and SEC-16 in a text.
fn rule_ids(text: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let words = text.split(|c: char| !is_word(c));
    let is_id = |word: &&str| {
        ["cg-", "pr-", "INV-", "SEC-"].iter().any(|prefix| {
            word.strip_prefix(prefix).is_some_and(|rest| {
                let letters = rest.trim_start_matches(|c: char| c.is_ascii_uppercase());
                let digits = letters.trim_end_matches(|c: char| c.is_ascii_lowercase());
                !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
            })
        })
    };
    words.filter(is_id).map(str::to_owned).collect()
}

/// The names of all functions, which carry the ids of the rules that they test.
fn function_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, text) in sources() {
        for line in text.lines() {
            let line = line.trim_start();
            let line = line.strip_prefix("async ").unwrap_or(line);
            if let Some(rest) = line.strip_prefix("fn ") {
                names.insert(rest.split('(').next().unwrap_or_default().to_owned());
            }
        }
    }
    names
}

/// docs/src/reference/rules.md has a row for each id that the code cites, and a row that says
/// `tested` has a test whose name carries the id.
#[test]
fn rules_are_listed_and_tested_rules_have_tests() {
    let text = fs::read_to_string(root().join("docs/src/reference/rules.md")).unwrap();
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let (id, status) = (cells.next().unwrap(), cells.next().unwrap());
        rows.insert(id.to_owned(), status.to_owned());
    }
    let names = function_names();
    let mut tested = 0;
    for (id, status) in rows.iter().filter(|(id, _)| !rule_ids(id).is_empty()) {
        let needle = id.to_lowercase().replace('-', "_");
        let carries = |name: &String| format!("_{name}_").contains(&format!("_{needle}_"));
        let has_test = names.iter().any(carries);
        assert_eq!(status == "tested", has_test, "{id} says {status}");
        tested += usize::from(has_test);
    }
    assert!(tested > 80, "{tested} rules have tests");
    for (path, text) in sources()
        .iter()
        .filter(|(path, _)| path.starts_with("crates/"))
    {
        for id in rule_ids(text) {
            assert!(
                rows.contains_key(&id),
                "{path} cites {id}, which rules.md does not list"
            );
        }
    }
}

#[test]
fn the_ids_of_rules_are_found_in_text() {
    let found = rule_ids("(cg-R20), pr-E11b; INV-S5 SEC-16, cg-x pr- not-R1 cg-R2..R4");
    let expected = ["INV-S5", "SEC-16", "cg-R2", "cg-R20", "pr-E11b"];
    assert_eq!(found, expected.map(str::to_owned).into());
}
