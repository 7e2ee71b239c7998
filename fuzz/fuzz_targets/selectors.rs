//! A selector prints as what it is, and selects what its conditions say one by one.

#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tidings_api::selector::{FieldSelector, LabelOperator, LabelSelector};

#[derive(Arbitrary, Debug)]
struct Input {
    /// Conditions, built of few words, so that they mean something.
    conditions: Vec<(u8, u8, Vec<u8>)>,
    /// A text of its own in their place.
    raw: Option<String>,
    labels: Vec<(u8, u8)>,
    json: Option<String>,
}

const KEYS: [&str; 6] = ["app", "tier", "a.b/c", "x", "kubernetes.io/name", "n-1"];
const VALUES: [&str; 9] = [
    "web",
    "",
    "7",
    "-3",
    "8",
    "a_b",
    "007",
    "9223372036854775807",
    "w.x",
];

fn word(words: &[&'static str], index: u8) -> &'static str {
    words[usize::from(index) % words.len()]
}

fn text(input: &Input) -> String {
    if let Some(raw) = &input.raw {
        return raw.clone();
    }
    let condition = |(key, operator, values): &(u8, u8, Vec<u8>)| {
        let key = word(&KEYS, *key);
        let value = word(&VALUES, values.first().copied().unwrap_or_default());
        let all: Vec<_> = values
            .iter()
            .take(5)
            .map(|value| word(&VALUES, *value))
            .collect();
        let all = all.join(", ");
        match operator % 9 {
            0 => key.to_owned(),
            1 => format!("!{key}"),
            2 => format!("{key}={value}"),
            3 => format!("{key}=={value}"),
            4 => format!("{key} != {value}"),
            5 => format!("{key} in ({all})"),
            6 => format!("{key} notin ({all})"),
            7 => format!("{key}>{value}"),
            _ => format!("{key}<{value}"),
        }
    };
    let conditions: Vec<_> = input.conditions.iter().map(condition).collect();
    conditions.join(",")
}

/// What the selector's documentation says, condition by condition.
fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    selector.requirements().iter().all(|requirement| {
        let label = labels.get(requirement.key());
        let values = requirement.values();
        let number = |text: &String| text.parse::<i64>().ok();
        let pair = label.and_then(number).zip(values.first().and_then(number));
        match requirement.operator() {
            LabelOperator::Exists => label.is_some(),
            LabelOperator::DoesNotExist => label.is_none(),
            LabelOperator::Equals | LabelOperator::In => {
                label.is_some_and(|it| values.contains(it))
            }
            LabelOperator::NotEquals | LabelOperator::NotIn => {
                !label.is_some_and(|it| values.contains(it))
            }
            LabelOperator::GreaterThan => pair.is_some_and(|(label, bound)| label > bound),
            LabelOperator::LessThan => pair.is_some_and(|(label, bound)| label < bound),
            _ => unreachable!("there are eight operators"),
        }
    })
}

fuzz_target!(|input: Input| {
    let text = text(&input);
    let labels = input.labels.iter();
    let labels: BTreeMap<String, String> = labels
        .map(|(key, value)| {
            (
                word(&KEYS, *key).to_owned(),
                word(&VALUES, *value).to_owned(),
            )
        })
        .collect();
    match LabelSelector::parse(&text) {
        Ok(selector) => {
            let printed = selector.to_string();
            assert_eq!(
                LabelSelector::parse(&printed).as_ref(),
                Ok(&selector),
                "{printed}"
            );
            let expected = selects(&selector, &labels);
            let lookup = |key: &str| labels.get(key).map(String::as_str);
            assert_eq!(selector.matches(lookup), expected, "{text}");
            let json = serde_json::to_string(&labels).expect("strings are JSON");
            assert_eq!(
                selector.matches_labels_json(&json),
                expected,
                "{text} {json}"
            );
            if let Some(json) = &input.json {
                let read: BTreeMap<String, String> = serde_json::from_str(json).unwrap_or_default();
                assert_eq!(
                    selector.matches_labels_json(json),
                    selects(&selector, &read),
                    "{json}"
                );
            }
        }
        Err(error) => assert!(error.at <= text.len() && error.to_string().len() < 1000),
    }
    match FieldSelector::parse(&text) {
        Ok(selector) => {
            let printed = selector.to_string();
            assert_eq!(
                FieldSelector::parse(&printed).as_ref(),
                Ok(&selector),
                "{printed}"
            );
            let lookup = |path: &str| labels.get(path).map(String::as_str);
            let expected = selector.terms().iter().all(|term| {
                let field = lookup(term.path()).unwrap_or_default();
                (field == term.value()) != term.is_negated()
            });
            assert_eq!(selector.matches(lookup), expected, "{text}");
        }
        Err(error) => assert!(error.at <= text.len() && error.to_string().len() < 1000),
    }
});
