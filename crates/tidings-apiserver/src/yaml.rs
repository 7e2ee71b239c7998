//! YAML bodies, and the JSON in them, as documents.
//!
//! Does not follow aliases without end: nodes, anchors and what aliases repeat are bounded.

use serde_json::Value;

/// Reads a body.
///
/// # Errors
///
/// What is wrong with it, as a sentence.
pub(crate) fn parse(body: &[u8]) -> Result<Value, String> {
    // Most that is sent as YAML is JSON, which has a faster reader.
    if let Ok(document) = serde_json::from_slice(body) {
        return Ok(document);
    }
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_documents: 1,
            max_nodes: NODES_MAX,
            max_events: 3 * NODES_MAX,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_recorded_anchor_events: NODES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: NODES_MAX,
            max_replay_stack_depth: 16,
        },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

/// Levels of a document.
const DEPTH_MAX: usize = 128;

/// Nodes of a document, those that aliases repeat among them.
const NODES_MAX: usize = 250_000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_and_the_json_in_it_are_read() {
        let expected = json!({ "a": [1, "x", true, null] });
        assert_eq!(parse(b"a: [1, x, true, null]\n"), Ok(expected.clone()));
        assert_eq!(parse(br#"{"a":[1,"x",true,null]}"#), Ok(expected));
        assert!(parse(b"{bad").is_err());
        assert!(parse(b"a: 1\n---\nb: 2\n").is_err(), "one document");
        assert!(parse(b"\xff").is_err());
    }

    #[test]
    fn aliases_do_not_multiply_without_end() {
        let mut text = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for (name, last) in ('b'..'k').zip('a'..) {
            let copies = vec![format!("*{last}"); 9].join(", ");
            text += &format!("{name}: &{name} [{copies}]\n");
        }
        assert!(parse(text.as_bytes()).is_err());
    }
}
