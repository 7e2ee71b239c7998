//! The one place that prints.

use std::io::{self, Write as _};

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

/// Text that a server sent, without what a terminal would obey (SEC-29).
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() { escape(c) } else { vec![c] })
        .collect()
}

fn escape(c: char) -> Vec<char> {
    c.escape_default().collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn sec_29_a_terminal_is_not_told_what_to_do() {
        assert_eq!(super::plain("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
    }
}
