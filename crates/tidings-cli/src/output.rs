//! The one place that prints.
//!
//! Does not decide what is printed. What a server sent is escaped before it gets to a terminal.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

/// A line on stdout. The error says that nobody reads any more.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// A line on stderr; there is nobody to tell if that fails.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// An error on stderr with its causes, each said once.
pub(crate) fn error(error: &anyhow::Error) {
    note(&format!("error: {}", plain(&causes(error))));
}

fn causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            let separator = if text.is_empty() { "" } else { ": " };
            text.push_str(separator);
            text.push_str(&cause);
        }
    }
    text
}

/// Whether the error is that nobody reads stdout any more.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Text that a server sent, without what a terminal would obey (SEC-29).
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_command(letter) {
            plain.extend(letter.escape_default());
        } else {
            plain.push(letter);
        }
    }
    plain
}

/// JSON on one line, still the same JSON, without what a terminal would obey (SEC-29).
pub(crate) fn plain_json(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter.is_ascii_control() && letter != '\u{7f}' {
            // JSON has these between its words only.
            plain.push(' ');
        } else if is_command(letter) {
            // All of these are within strings, and none is beyond the first plane.
            let _ = write!(plain, "\\u{:04x}", u32::from(letter));
        } else {
            plain.push(letter);
        }
    }
    plain
}

/// Controls, and the marks that turn the direction of text.
fn is_command(letter: char) -> bool {
    let turns = matches!(letter,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    letter.is_control() || turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_29_a_terminal_is_not_told_what_to_do() {
        assert_eq!(plain("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
        assert_eq!(
            plain("\u{9b}2J\u{202e}x\u{e9}"),
            "\\u{9b}2J\\u{202e}x\u{e9}"
        );
    }

    #[test]
    fn sec_29_json_stays_the_same_json_on_one_line() {
        let json = "{\n\t\"a\": \"\u{9b}2J\u{202e}\u{7f}\u{e9}\\n\"}";
        let line = plain_json(json);
        assert_eq!(line, "{  \"a\": \"\\u009b2J\\u202e\\u007f\u{e9}\\n\"}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&line), read(json));
    }

    #[test]
    fn each_cause_is_said_once() {
        let inner = anyhow::anyhow!("no file").context("config: no file");
        assert_eq!(causes(&inner.context("bad")), "bad: config: no file");
    }
}
