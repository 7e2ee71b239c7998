//! JSONPath as printer columns use it: members, indexes, wildcards, and filters by a member's value.
//!
//! Does not know slices with steps, unions, recursive descent nor scripts: a column of such a path stays
//! empty. A path is applied to an object and yields the values that it finds, in order.
//!
//! Source: client-go util/jsonpath @v0.36.3.

use serde_json::Value;

/// A path that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// The elements whose member has (or has not) this value.
    Filter {
        path: Vec<String>,
        wanted: String,
        is_equal: bool,
    },
    /// An element, from the end if negative.
    Index(i64),
    Member(String),
    Wildcard,
}

// === impl JsonPath ===

impl JsonPath {
    /// Reads a path such as `.status.conditions[?(@.type=="Ready")].status`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = text.trim();
        rest = rest.strip_prefix('$').unwrap_or(rest);
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let end = closing(inner)?;
                steps.push(bracket(&inner[..end])?);
                rest = &inner[end + 1..];
            } else {
                let (name, left) = member(rest.strip_prefix('.')?)?;
                steps.push(if name == "*" {
                    Step::Wildcard
                } else {
                    Step::Member(name)
                });
                rest = left;
            }
        }
        Some(Self(steps))
    }

    /// The values that it finds.
    pub(super) fn find<'a>(&self, document: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![document];
        for step in &self.0 {
            found = found
                .into_iter()
                .flat_map(|value| step.apply(value))
                .collect();
        }
        found
    }
}

impl Step {
    fn apply<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let items = value.as_array().map_or(&[][..], Vec::as_slice);
        match self {
            Self::Filter {
                path,
                wanted,
                is_equal,
            } => {
                let fits = |item: &&Value| {
                    let mut found = path.iter().try_fold(*item, |value, name| value.get(name));
                    found = found.filter(|found| !found.is_null());
                    found.is_some_and(|found| (text_of(found) == *wanted) == *is_equal)
                };
                items.iter().filter(fits).collect()
            }
            Self::Index(index) => {
                let len = i64::try_from(items.len()).unwrap_or(i64::MAX);
                let index = if *index < 0 { index + len } else { *index };
                let found = usize::try_from(index)
                    .ok()
                    .and_then(|index| items.get(index));
                found.into_iter().collect()
            }
            Self::Member(name) => value.get(name).into_iter().collect(),
            Self::Wildcard => match value {
                Value::Object(members) => members.values().collect(),
                _ => items.iter().collect(),
            },
        }
    }
}

/// A value as a text column shows it.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_owned(),
        other => other.to_string(),
    }
}

/// The end of what stands in brackets, past quotes and inner brackets.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

fn bracket(inner: &str) -> Option<Step> {
    let inner = inner.trim();
    if inner == "*" {
        return Some(Step::Wildcard);
    }
    if let Some(name) = unquoted(inner) {
        return Some(Step::Member(name.to_owned()));
    }
    let Some(filter) = inner.strip_prefix("?(").and_then(|it| it.strip_suffix(')')) else {
        return inner.parse().ok().map(Step::Index);
    };
    let (left, right, is_equal) = match filter.split_once("==") {
        Some((left, right)) => (left, right, true),
        None => {
            let (left, right) = filter.split_once("!=")?;
            (left, right, false)
        }
    };
    let mut path = Vec::new();
    let mut rest = left.trim().strip_prefix('@')?;
    while !rest.is_empty() {
        let (name, left) = member(rest.strip_prefix('.')?)?;
        path.push(name);
        rest = left;
    }
    let right = right.trim();
    Some(Step::Filter {
        path,
        wanted: unquoted(right).unwrap_or(right).to_owned(),
        is_equal,
    })
}

fn unquoted(text: &str) -> Option<&str> {
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\''))
}

/// A member's name, with its escapes undone, and what follows it.
fn member(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut letters = text.char_indices();
    let mut end = text.len();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '.' | '[' => {
                end = at;
                break;
            }
            '\\' => name.push(letters.next()?.1),
            _ => name.push(letter),
        }
    }
    (!name.is_empty()).then(|| (name, &text[end..]))
}
