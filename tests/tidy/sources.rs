//! How every source file has to look, whatever it says.
//!
//! The words that are looked for are put together here, so that this file does not find itself.

use crate::{
    report,
    tree::{self, File},
};

/// Most lines of a file, its tests not counted.
const LINES_MAX: usize = 800;

/// What no text of the project holds: places of the machine that it was written on.
const MACHINE_PATHS: [&str; 4] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/us", "r/local/cargo"),
    concat!("/tmp/", "target"),
];

#[test]
fn every_file_opens_with_its_header() {
    let wrong: Vec<_> = tree::files(&["rs"])
        .iter()
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| file.path.clone())
        .collect();
    report("files that do not begin with `//!`", &wrong);
}

#[test]
fn no_file_is_long() {
    let wrong: Vec<_> = tree::files(&["rs"])
        .iter()
        .map(|file| (file.code_part().lines().count(), &file.path))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    report("files of more than 800 lines", &wrong);
}

#[test]
fn sources_are_ascii() {
    let wrong = lines(&["rs", "md", "toml"], |_, line| !line.is_ascii());
    report("characters beyond ASCII", &wrong);
}

#[test]
fn nothing_is_left_to_be_done_in_a_comment() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
    ];
    let wrong = lines(&["rs", "toml"], |_, line| {
        marks.iter().any(|mark| line.contains(mark))
    });
    report("unfinished business", &wrong);
}

#[test]
fn no_test_is_ignored_or_sleeps() {
    let marks = [concat!("#[ig", "nore"), concat!("sl", "eep(")];
    let mut wrong = Vec::new();
    for file in tree::files(&["rs"]) {
        let part = file.test_part();
        let before = file.text.len() - part.len();
        let first = file.text[..before].lines().count();
        for (number, line) in part.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                let at = first + number + 1;
                wrong.push(format!("{}:{at}: {}", file.path, line.trim()));
            }
        }
    }
    report("tests that are ignored or sleep", &wrong);
}

/// Where the wall clock is read all the same: what a Lease's record shows to people.
const WALL_CLOCK: &str = "crates/tidings/src/leader/wall.rs";

/// The wall clock may jump: what the informer does hangs on the monotonic one that it is given.
#[test]
fn pr_f63_no_wall_clock_is_read_by_the_informer() {
    let crates = ["api", "engine", "scan"].map(|name| format!("crates/tidings-{name}/"));
    let wrong = lines(&["rs"], |file, line| {
        let concerned = crates.iter().any(|path| file.path.starts_with(path))
            || file.path.starts_with("crates/tidings/src/");
        // Events bear the time for people who read them; nothing is decided by it.
        let shown = file.path == "crates/tidings/src/events/mod.rs";
        concerned
            && (file.path != WALL_CLOCK && line.contains("SystemTime")
                || !shown && line.contains("Timestamp::now"))
    });
    report("readings of the wall clock", &wrong);
}

#[test]
fn no_place_of_a_machine_is_named() {
    let wrong = lines(&["rs", "md", "toml"], |_, line| {
        MACHINE_PATHS.iter().any(|path| line.contains(path))
    });
    report("absolute paths of a machine", &wrong);
}

#[test]
fn no_issue_is_named_by_its_number() {
    let wrong = lines(&["rs", "md", "toml"], |file, line| {
        !file.path.ends_with(".lock") && names_an_issue(line)
    });
    report("issue numbers: say what it is in a sentence", &wrong);
}

/// A hash sign that follows a space or a bracket, and digits after it.
fn names_an_issue(line: &str) -> bool {
    line.match_indices('#').any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let digits = line[at + 1..]
            .chars()
            .take_while(char::is_ascii_digit)
            .count();
        let after = line[at + 1 + digits..].chars().next();
        digits > 0
            && before.is_none_or(|letter| letter.is_whitespace() || letter == '(')
            && after.is_none_or(|letter| !letter.is_alphanumeric())
    })
}

/// The lines of all files of a kind for which something holds, with their places.
fn lines(extensions: &[&str], holds: impl Fn(&File, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for file in tree::files(extensions) {
        for (number, line) in file.text.lines().enumerate() {
            if holds(&file, line) {
                found.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    found
}
