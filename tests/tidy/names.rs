//! Rule ids as they stand in text and in the names of tests.
//!
//! In text: `cg-R20`, `pr-E11b`, `ctl-L4`, `INV-S5`, `SEC-16`. In a test's name the same in lower case with an
//! underscore, anywhere in it: `cg_v11_pr_w7_..`; a section without a letter, as in `pr_1_7_..`, is `pr-1.7`.
//!
//! N1  What is found in text is a whole word: `cg-R2` is not found in `cg-R20`.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{self, File};

const FAMILIES: [&str; 3] = ["cg", "ctl", "pr"];

/// A test function and the rules that it carries.
pub(crate) struct Test {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) ids: BTreeSet<String>,
}

/// All tests of the tree, in the order of their files.
pub(crate) fn tests() -> Vec<Test> {
    let mut found = Vec::new();
    for file in tree::files(&["rs"]) {
        tests_of(&file, &mut found);
    }
    assert!(found.len() > 100, "the tests are not found");
    found
}

/// From each rule to the tests that carry it.
pub(crate) fn tests_by_rule(tests: &[Test]) -> BTreeMap<&str, Vec<&Test>> {
    let mut by_rule: BTreeMap<&str, Vec<&Test>> = BTreeMap::new();
    for test in tests {
        for id in &test.ids {
            by_rule.entry(id).or_default().push(test);
        }
    }
    by_rule
}

fn tests_of(file: &File, found: &mut Vec<Test>) {
    let mut is_test = false;
    let mut ids = BTreeSet::new();
    for line in file.text.lines().map(str::trim) {
        if line.starts_with("///") {
            ids.append(&mut ids_in_text(line));
        } else if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(name) = function_name(line) {
            if is_test {
                ids.append(&mut ids_in_name(name));
                found.push(Test {
                    name: name.to_owned(),
                    path: file.path.clone(),
                    ids: std::mem::take(&mut ids),
                });
            }
            is_test = false;
            ids.clear();
        } else if !line.starts_with("#[") {
            ids.clear();
        }
    }
}

fn function_name(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("async ").unwrap_or(line);
    let rest = rest.strip_prefix("fn ")?;
    rest.split(['(', '<']).next()
}

/// The ids in a test's name.
pub(crate) fn ids_in_name(name: &str) -> BTreeSet<String> {
    let words: Vec<&str> = name.split('_').collect();
    let mut ids = BTreeSet::new();
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1).copied().unwrap_or_default();
        let after = words.get(at + 2).copied().unwrap_or_default();
        if FAMILIES.contains(word) {
            if is_number(next) && is_number(after) {
                ids.insert(format!("{word}-{next}.{after}"));
            } else if let Some(id) = numbered(next) {
                ids.insert(format!("{word}-{id}"));
            }
        } else if *word == "inv" {
            ids.extend(numbered(next).map(|id| format!("INV-{id}")));
        } else if *word == "sec" && is_number(next) {
            ids.insert(format!("SEC-{next}"));
        }
    }
    ids
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// `e11b` as `E11b`: letters, digits, at most one letter.
fn numbered(word: &str) -> Option<String> {
    let digits_at = word.find(|letter: char| letter.is_ascii_digit())?;
    let (letters, rest) = word.split_at(digits_at);
    let suffix = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let is_id = !letters.is_empty()
        && letters.bytes().all(|byte| byte.is_ascii_lowercase())
        && suffix.len() <= 1
        && suffix.bytes().all(|byte| byte.is_ascii_lowercase());
    is_id.then(|| format!("{}{rest}", letters.to_ascii_uppercase()))
}

/// The ids that a text cites.
pub(crate) fn ids_in_text(text: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for (at, _) in text.match_indices('-') {
        let before = &text[..at];
        let family = before
            .rfind(|letter: char| !letter.is_ascii_alphabetic())
            .map_or(before, |end| {
                let last = before[end..].chars().next().map_or(0, char::len_utf8);
                &before[end + last..]
            });
        let is_cut = before[..before.len() - family.len()].ends_with(['-', '_']);
        if is_cut || !(FAMILIES.contains(&family) || family == "INV" || family == "SEC") {
            continue;
        }
        let word: String = text[at + 1..]
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        if is_id_word(family, &word) {
            ids.insert(format!("{family}-{word}"));
        }
    }
    ids
}

fn is_id_word(family: &str, word: &str) -> bool {
    if family == "SEC" {
        return is_number(word);
    }
    let rest = word.trim_start_matches(|letter: char| letter.is_ascii_uppercase());
    let suffix = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
    rest.len() < word.len()
        && suffix.len() < rest.len()
        && suffix.len() <= 1
        && suffix.bytes().all(|byte| byte.is_ascii_lowercase())
}

#[test]
fn ids_are_found_in_names_and_in_text() {
    let in_name = |name| Vec::from_iter(ids_in_name(name)).join(" ");
    assert_eq!(in_name("cg_v11_pr_w7_gzip_members"), "cg-V11 pr-W7");
    assert_eq!(in_name("pr_1_7_410_relists"), "pr-1.7");
    assert_eq!(in_name("sec_7_sec_8_pr_e11b_x"), "SEC-7 SEC-8 pr-E11b");
    assert_eq!(in_name("inv_s5_readers_in_sec"), "INV-S5");
    let in_text = |text| Vec::from_iter(ids_in_text(text)).join(" ");
    assert_eq!(
        in_text("(cg-R20, pr-E11c; INV-S5..SEC-16)"),
        "INV-S5 SEC-16 cg-R20 pr-E11c"
    );
    assert_eq!(in_text("cg-r20 pr-R20x9 x-cg-R1 pr-ABC"), "");
}
