//! Names and metadata that are refused, in the words of a real server, and some that are not.

use serde_json::{Value, json};

use crate::{
    State,
    state::{Admission, Terms},
};

/// What is said of a new object's metadata, or nothing where it is taken.
fn said(plural: &str, meta: Value) -> Option<String> {
    let mut state = State::new(1);
    let resource = state.resource("", "v1", plural).unwrap();
    let namespace = state.kind(resource).namespaced.then_some("default");
    let terms = Terms {
        admission: Admission::Strict,
        ..Terms::open(0)
    };
    let created = state.create_with(resource, namespace, json!({ "metadata": meta }), &terms);
    let refusal = created.err()?;
    assert_eq!(refusal.code, 422);
    let causes = refusal.causes.iter();
    let lines = causes.map(|cause| format!("{}: {}", cause.field, cause.message));
    Some(lines.collect::<Vec<_>>().join("; "))
}

#[test]
fn names_are_dns_subdomains() {
    for name in ["a", "1a", "a.b-c.d", &"x".repeat(253)] {
        assert_eq!(said("configmaps", json!({ "name": name })), None, "{name}");
    }
    for name in ["A_b", "x/y", "-a", "a-", "a..b", ".", "a b", "\u{e4}"] {
        let said = said("configmaps", json!({ "name": name })).unwrap();
        let expected = format!(
            "metadata.name: Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of"
        );
        assert!(said.starts_with(&expected), "{said}");
    }
    let long = said("configmaps", json!({ "name": "x".repeat(254) })).unwrap();
    assert!(
        long.ends_with(": must be no more than 253 characters"),
        "{long}"
    );
    let dotted = said("namespaces", json!({ "name": "a.b" })).unwrap();
    let expected = "metadata.name: Invalid value: \"a.b\": must not contain dots";
    assert_eq!(dotted, expected);
}

#[test]
fn labels_are_words_with_a_domain_before_them() {
    let labels = |labels: Value| said("configmaps", json!({ "name": "a", "labels": labels }));
    let fine = json!({ "a": "", "a.b/C_d": "1.2-3", "app.kubernetes.io/name": "X" });
    assert_eq!(labels(fine), None);
    let odd = labels(json!({ "a b": "c d" })).unwrap();
    assert!(
        odd.starts_with("metadata.labels: Invalid value: \"a b\": name part must"),
        "{odd}"
    );
    assert!(
        odd.contains("metadata.labels: Invalid value: \"c d\": a valid label must"),
        "{odd}"
    );
    for (label, value) in [("/a", "b"), ("a/", "b"), ("a", "-"), ("a", &"x".repeat(64))] {
        assert!(labels(json!({ label: value })).is_some(), "{label}={value}");
    }
}

#[test]
fn finalizers_have_a_domain_or_are_the_servers_own() {
    let finalizers = |list: Value| said("configmaps", json!({ "name": "a", "finalizers": list }));
    assert_eq!(finalizers(json!(["x.io/a", "orphan"])), None);
    let expected = "metadata.finalizers[1]: Invalid value: \"nodomain\": name is neither a standard \
                    finalizer name nor is it fully qualified";
    assert_eq!(
        finalizers(json!(["x.io/a", "nodomain"])).as_deref(),
        Some(expected)
    );
}
