//! The differences that are known, read from the book's own table.
//!
//! A row is `| program | case | fact | why |`. A fact that ends with `*` stands for all that begin so.

use std::fmt::Write as _;

/// The rows of one program, and which of them were met.
pub(super) struct Known(Vec<Difference>);

struct Difference {
    case: String,
    fact: String,
    met: bool,
}

impl Known {
    pub(super) fn of(program: &str) -> Self {
        let book = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/src/reference/apiserver.md"
        );
        let book = std::fs::read_to_string(book).unwrap();
        let (_, rest) = book.split_once("<!-- differences -->").unwrap();
        let (table, _) = rest.split_once("<!-- /differences -->").unwrap();
        let rows = table.lines().filter_map(|line| {
            let cells: Vec<&str> = line.trim().split('|').map(str::trim).collect();
            let ["", of, case, fact, _why, ""] = cells.as_slice() else {
                return None;
            };
            let fact = fact.trim_matches('`').to_owned();
            let case = (*case).to_owned();
            let met = false;
            (*of == program).then_some(Difference { case, fact, met })
        });
        Self(rows.collect())
    }

    /// Whether that fact may differ; it counts as met.
    pub(super) fn expects(&mut self, case: &str, label: &str) -> bool {
        let mut found = false;
        for row in self.0.iter_mut().filter(|row| row.case == case) {
            let is_it = match row.fact.strip_suffix('*') {
                Some(start) => label.starts_with(start),
                None => row.fact == label,
            };
            if is_it {
                row.met = true;
                found = true;
            }
        }
        found
    }

    /// A line for each row that no fact bore out.
    pub(super) fn not_seen(&self) -> String {
        let mut out = String::new();
        for row in self.0.iter().filter(|row| !row.met) {
            let (case, fact) = (&row.case, &row.fact);
            let _ = writeln!(
                out,
                "{case}: `{fact}` is listed as a difference and is none"
            );
        }
        out
    }
}
