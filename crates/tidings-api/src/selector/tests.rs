//! The grammars by example, and round trips and a naive matcher by property.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn labels(text: &str) -> LabelSelector {
    LabelSelector::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[test]
fn pr_l24_every_form_of_a_label_requirement_reads_and_prints() {
    for (text, printed) in [
        ("", ""),
        ("a", "a"),
        ("!a", "!a"),
        ("! a", "!a"),
        ("a=b", "a=b"),
        ("a==b", "a=b"),
        ("a = b", "a=b"),
        ("a!=b", "a!=b"),
        ("a=", "a="),
        ("a=,b", "a=,b"),
        ("a in (b)", "a in (b)"),
        ("a in (c,b,b)", "a in (b,c)"),
        ("a in (,)", "a in ()"),
        ("a in ()", "a in ()"),
        (
            "x in (foo,,baz),y,z notin ()",
            "x in (,baz,foo),y,z notin ()",
        ),
        ("in in (in,notin)", "in in (in,notin)"),
        ("a>1,b<2", "a>1,b<2"),
        ("b=1,a=2", "a=2,b=1"),
        ("example.com/a-b_c.D=1", "example.com/a-b_c.D=1"),
    ] {
        assert_eq!(labels(text).to_string(), printed, "{text:?}");
    }
}

#[test]
fn refuses_what_leaves_the_label_grammar_and_says_where() {
    for (text, at) in [
        (",", 0),
        ("a,", 2),
        ("a,,b", 2),
        ("a b", 2),
        ("a=b c", 4),
        ("a=!b", 2),
        ("a in b", 5),
        ("a in (b", 7),
        ("a in (b c)", 8),
        ("!a in (b)", 3),
        ("!", 1),
        ("a>x", 2),
        ("a>", 2),
        ("-a", 0),
        ("a=-b", 2),
        ("A.b/c", 0),
        ("a/b/c", 0),
        ("a in (b,c!)", 9),
    ] {
        let error = LabelSelector::parse(text).unwrap_err();
        assert_eq!(error.at, at, "{text:?}: {error}");
    }
    assert!(LabelSelector::parse(&"a".repeat(64)).is_err());
    assert!(LabelSelector::parse(&format!("a={}", "b".repeat(64))).is_err());
}

#[test]
fn an_absent_label_satisfies_the_negative_operators_only() {
    for (text, holds) in [
        ("a", false),
        ("!a", true),
        ("a=b", false),
        ("a=", false),
        ("a!=b", true),
        ("a in (b)", false),
        ("a notin (b)", true),
        ("a>1", false),
    ] {
        assert_eq!(labels(text).matches(|_| None), holds, "{text:?}");
        for json in ["", "null", "{}", "[]", r#"{"b":"a"}"#] {
            assert_eq!(
                labels(text).matches_labels_json(json),
                holds,
                "{text:?} {json}"
            );
        }
    }
}

#[test]
fn labels_json_is_decoded_before_it_is_compared() {
    let selector = labels("app=web,n>7");
    assert!(selector.matches_labels_json(r#" { "\u0061pp" : "w\u0065b", "n":"8" } "#));
    assert!(!selector.matches_labels_json(r#"{"app":"web","n":"7"}"#));
    assert!(!selector.matches_labels_json(r#"{"app":"web","n":"8","app":"x"}"#));
}

#[test]
fn fields_split_at_the_first_operator_and_unescape_their_values() {
    for (text, printed) in [
        ("", ""),
        ("a=b", "a=b"),
        ("a==b", "a=b"),
        ("a!=b", "a!=b"),
        ("a=", "a="),
        (",a=b,,", "a=b"),
        ("b=1,a=2", "a=2,b=1"),
        (r"a=x\,y\=z\\", r"a=x\,y\=z\\"),
        ("a=!b", "a=!b"),
    ] {
        let selector = FieldSelector::parse(text).unwrap();
        assert_eq!(selector.to_string(), printed, "{text:?}");
    }
    for (text, at) in [
        ("a", 0),
        ("a=b,c", 4),
        (r"a=\x", 2),
        (r"a=b\", 3),
        ("a=b=c", 3),
    ] {
        let error = FieldSelector::parse(text).unwrap_err();
        assert_eq!(error.at, at, "{text:?}: {error}");
    }
}

#[test]
fn an_absent_field_is_the_empty_string() {
    let selector = FieldSelector::parse("spec.nodeName=").unwrap();
    assert!(selector.matches(|_| None));
    assert!(!selector.matches(|_| Some("node-1")));
    assert_eq!(selector.exact("spec.nodeName"), Some(""));
    assert_eq!(FieldSelector::parse("a!=b").unwrap().exact("a"), None);
}

fn requirement() -> impl Strategy<Value = String> {
    let key = "[abc]";
    let value = "[0-9xy]{0,2}";
    prop_oneof![
        key.prop_map(|key| key),
        key.prop_map(|key| format!("!{key}")),
        (key, prop_oneof!["=", "==", "!="], value).prop_map(|(k, o, v)| format!("{k} {o}{v}")),
        (key, prop_oneof!["<", ">"], -9..99i64)
            .prop_filter("a label cannot begin with a sign", |(_, _, n)| *n >= 0)
            .prop_map(|(k, o, n)| format!("{k}{o} {n}")),
        (
            key,
            prop_oneof!["in", "notin"],
            prop::collection::vec(value, 0..3)
        )
            .prop_map(|(k, o, values)| format!("{k} {o} ({})", values.join(" , "))),
    ]
}

proptest! {
    #[test]
    fn label_selectors_round_trip_and_both_matchers_agree(
        parts in prop::collection::vec(requirement(), 0..4),
        present in prop::collection::btree_map("[abc]", "[0-9xy]{0,2}", 0..4),
    ) {
        let selector = labels(&parts.join(","));
        prop_assert_eq!(&labels(&selector.to_string()), &selector);
        let json = serde_json::to_string(&present).unwrap();
        let by_lookup = selector.matches(|key| present.get(key).map(String::as_str));
        prop_assert_eq!(selector.matches_labels_json(&json), by_lookup);
        let naive = parts.iter().all(|part| labels(part).matches_labels_json(&json));
        prop_assert_eq!(naive, by_lookup);
    }

    #[test]
    fn field_selectors_round_trip(terms in prop::collection::btree_map(r"[a-z.]{1,8}", ".{0,8}", 0..4)) {
        let selector = FieldSelector {
            terms: terms.iter().map(|(path, value)| FieldTerm {
                path: path.clone(),
                negated: value.len() % 2 == 0,
                value: value.clone(),
            }).collect(),
        };
        let read = FieldSelector::parse(&selector.to_string()).unwrap();
        let of = |selector: &FieldSelector| selector.terms.iter().cloned()
            .map(|term| (term.path.clone(), term)).collect::<BTreeMap<_, _>>();
        prop_assert_eq!(of(&read), of(&selector));
    }

    #[test]
    fn parsing_never_panics(text in ".{0,24}") {
        let _ = LabelSelector::parse(&text);
        let _ = FieldSelector::parse(&text);
    }
}
