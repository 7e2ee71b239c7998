//! What changed between two states of an object, as paths with their old and new values.

use serde_json::Value;

use crate::output::plain;

/// The changed paths, at most `LINES_MAX` of them.
pub(crate) fn diff(old: &str, new: &str) -> Vec<String> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let mut lines = Vec::new();
    walk("", &parse(old), &parse(new), &mut lines);
    let left = lines.len().saturating_sub(LINES_MAX);
    lines.truncate(LINES_MAX);
    if left > 0 {
        lines.push(format!("  and {left} more"));
    }
    lines
}

fn walk(path: &str, old: &Value, new: &Value, lines: &mut Vec<String>) {
    match (old, new) {
        _ if old == new || path == ".metadata.resourceVersion" => {}
        (Value::Object(before), Value::Object(after)) => {
            let added = after.keys().filter(|key| !before.contains_key(*key));
            for key in before.keys().chain(added) {
                let path = format!("{path}.{}", plain(key));
                walk(&path, &old[key], &new[key], lines);
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for index in 0..before.len().max(after.len()) {
                let at = |list: &[Value]| list.get(index).cloned().unwrap_or_default();
                walk(&format!("{path}[{index}]"), &at(before), &at(after), lines);
            }
        }
        _ => lines.push(format!("  {path}: {} -> {}", short(old), short(new))),
    }
}

fn short(value: &Value) -> String {
    let text: String = plain(&value.to_string());
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text,
    }
}

const LINES_MAX: usize = 40;
const VALUE_CHARS_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_paths_are_shown_with_both_values() {
        let old = r#"{"metadata":{"resourceVersion":"1"},"a":{"b":[1,2],"c":"x"}}"#;
        let new = r#"{"metadata":{"resourceVersion":"2"},"a":{"b":[1,3,4],"d":true}}"#;
        assert_eq!(
            diff(old, new),
            [
                "  .a.b[1]: 2 -> 3",
                "  .a.b[2]: null -> 4",
                "  .a.c: \"x\" -> null",
                "  .a.d: null -> true"
            ]
        );
        assert_eq!(diff(old, old), [""; 0]);
    }
}
