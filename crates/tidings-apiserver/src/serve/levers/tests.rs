//! The table: sound, and the same in the book.

use super::{table::WHICH_OPEN, *};

const PAGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/src/reference/apiserver.md"
);

/// The rows as the book prints them.
fn rows() -> String {
    let mut rows = String::from("| lever | what it does | takes |\n|---|---|---|\n");
    for lever in LEVERS {
        let shown = |field: &Field| {
            let mark = if field.required { "" } else { "?" };
            format!("`{}{mark}`: {}", field.name, field.kind.words())
        };
        let mut fields: Vec<String> = lever.fields.iter().map(shown).collect();
        if !lever.which.is_empty() {
            let is_open = lever.which.len() == WHICH_OPEN.len();
            let whom = if is_open {
                "*which open*"
            } else {
                "*which requests*"
            };
            fields.push(whom.to_owned());
        }
        let (name, does) = (lever.name, lever.does);
        rows.push_str(&format!("| `{name}` | {does} | {} |\n", fields.join("; ")));
    }
    rows
}

#[test]
fn the_book_has_the_table() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once("<!-- levers -->\n").unwrap();
    let (table, after) = rest.split_once("<!-- /levers -->").unwrap();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let page = format!("{before}<!-- levers -->\n{}<!-- /levers -->{after}", rows());
        return std::fs::write(PAGE, page).unwrap();
    }
    assert_eq!(table, rows(), "UPDATE_EXPECT=1 writes it anew");
}

#[test]
fn the_rows_stand_in_order_and_their_fields_are_one_each() {
    let names: Vec<&str> = LEVERS.iter().map(|lever| lever.name).collect();
    assert!(names.is_sorted(), "{names:?}");
    for lever in LEVERS {
        let fields = lever.fields.iter().chain(lever.which);
        let mut fields: Vec<&str> = fields.map(|field| field.name).collect();
        let count = fields.len();
        fields.sort_unstable();
        fields.dedup();
        assert_eq!(fields.len(), count, "{}", lever.name);
        assert!(!lever.does.ends_with('.') && !lever.does.contains('|'));
    }
}
