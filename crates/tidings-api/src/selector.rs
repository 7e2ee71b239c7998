//! Label and field selectors as parsed values: what a server filters lists and watches by.
//!
//! Does not fetch labels or fields: the caller looks them up, or hands in the labels' JSON.
//!
//! L1  `parse(selector.to_string()) == selector`; `==` is read and `=` is written.
//! L2  Requirements stand in the order of their keys, values in their own order, both without
//!     regard to how they were written.
//! L3  An absent label satisfies `!=`, `notin` and `!key`; an absent field is the empty string.
//! Cost: matching is O(requirements) lookups, or one pass over the labels' JSON without a map.
//! Source: apimachinery pkg/labels/selector.go and pkg/fields/selector.go @v0.36.3.

use std::{borrow::Cow, error, fmt};

use serde::{
    Deserialize,
    de::{MapAccess, Visitor},
};

mod lex;

/// A label selector, such as `app in (web,api),tier!=cache,!canary`. The empty one selects all.
///
/// # Example
///
/// ```
/// use tidings_api::selector::LabelSelector;
///
/// let selector = LabelSelector::parse("app in (web, api),!canary").unwrap();
/// assert!(selector.matches(|key| (key == "app").then_some("web")));
/// assert!(!selector.matches_labels_json(r#"{"app":"web","canary":"yes"}"#));
/// assert_eq!(selector.to_string(), "app in (api,web),!canary");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSelector {
    requirements: Vec<LabelRequirement>,
}

/// One condition of a [`LabelSelector`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelRequirement {
    key: String,
    operator: LabelOperator,
    values: Vec<String>,
}

/// How a [`LabelRequirement`] compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LabelOperator {
    /// `!key`: the label is absent.
    DoesNotExist,
    /// `key=value` or `key==value`.
    Equals,
    /// `key`: the label is present, with any value.
    Exists,
    /// `key>7`: the label is an integer, and greater.
    GreaterThan,
    /// `key in (a,b)`.
    In,
    /// `key<7`: the label is an integer, and less.
    LessThan,
    /// `key!=value`, or the label is absent.
    NotEquals,
    /// `key notin (a,b)`, or the label is absent.
    NotIn,
}

/// A field selector, such as `spec.nodeName=node-1,status.phase!=Failed`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector {
    terms: Vec<FieldTerm>,
}

/// One condition of a [`FieldSelector`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldTerm {
    path: String,
    negated: bool,
    value: String,
}

/// A selector that cannot be read: the fault of whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SelectorError {
    /// Where in the text, in bytes from its start.
    pub at: usize,
    /// What is wrong there.
    pub problem: SelectorProblem,
}

/// What is wrong with a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelectorProblem {
    /// A backslash before something else than a backslash, comma or equals sign.
    Escape,
    /// Another token was expected.
    Expected {
        /// What stands there, empty at the end.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// A label key is not `[prefix/]name`, or a part is too long.
    Key,
    /// The value of `<` or `>` is not an integer.
    NotAnInteger,
    /// A field term without `=`, `==` or `!=`.
    NoOperator,
    /// An equals sign in a field's value that is not escaped.
    Unescaped,
    /// A label value has other characters than are allowed, or more than 63.
    Value,
}

// === impl LabelSelector ===

impl LabelSelector {
    /// Reads a selector.
    ///
    /// # Errors
    ///
    /// [`SelectorError`] where the text leaves the grammar, or a key or value is not a label's.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = lex::requirements(text)?;
        requirements.sort_by(|left, right| left.key.cmp(&right.key));
        Ok(Self { requirements })
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The conditions, all of which must hold.
    #[must_use]
    pub fn requirements(&self) -> &[LabelRequirement] {
        &self.requirements
    }

    /// Whether labels, looked up by key, satisfy every requirement.
    pub fn matches<'a>(&self, mut lookup: impl FnMut(&str) -> Option<&'a str>) -> bool {
        self.requirements
            .iter()
            .all(|requirement| requirement.matches(lookup(&requirement.key)))
    }

    /// Whether labels, given as a JSON object's text, satisfy every requirement.
    ///
    /// No text and `null` are no labels, and so is what is not an object of strings. Of a key that
    /// stands twice, the last counts.
    #[must_use]
    pub fn matches_labels_json(&self, labels: &str) -> bool {
        if self.requirements.len() > 64 {
            let map: std::collections::HashMap<Cow<'_, str>, Cow<'_, str>> =
                serde_json::from_str(labels).unwrap_or_default();
            return self.matches(|key| map.get(key).map(AsRef::as_ref));
        }
        let absent = self.requirements.iter().rev().fold(0, |bits, requirement| {
            bits << 1 | u64::from(requirement.matches(None))
        });
        let all = match self.requirements.len() {
            0 => return true,
            count => u64::MAX >> (64 - count),
        };
        let pass = Pass {
            requirements: &self.requirements,
            absent,
        };
        let mut reader = serde_json::Deserializer::from_str(labels);
        serde::Deserializer::deserialize_map(&mut reader, pass).unwrap_or(absent) == all
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        separated(f, &self.requirements)
    }
}

// === impl LabelRequirement ===

impl LabelRequirement {
    /// The label's key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How it compares.
    #[must_use]
    pub fn operator(&self) -> LabelOperator {
        self.operator
    }

    /// What it compares with: none for existence, one for an exact match.
    #[must_use]
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether a label's value, or its absence, satisfies this requirement.
    #[must_use]
    pub fn matches(&self, label: Option<&str>) -> bool {
        use LabelOperator as Op;
        let listed = |label: &str| self.values.iter().any(|value| value == label);
        match (self.operator, label) {
            (Op::DoesNotExist | Op::NotEquals | Op::NotIn, None) => true,
            (_, None) | (Op::DoesNotExist, Some(_)) => false,
            (Op::Exists, Some(_)) => true,
            (Op::Equals | Op::In, Some(label)) => listed(label),
            (Op::NotEquals | Op::NotIn, Some(label)) => !listed(label),
            (Op::GreaterThan, Some(label)) => self.ordered(label, |label, bound| label > bound),
            (Op::LessThan, Some(label)) => self.ordered(label, |label, bound| label < bound),
        }
    }

    fn ordered(&self, label: &str, holds: impl Fn(i64, i64) -> bool) -> bool {
        let bound = self.values.first().and_then(|bound| bound.parse().ok());
        match (label.parse(), bound) {
            (Ok(label), Some(bound)) => holds(label, bound),
            _ => false,
        }
    }
}

impl fmt::Display for LabelRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            LabelOperator::DoesNotExist => write!(f, "!{key}"),
            LabelOperator::Equals => write!(f, "{key}={values}"),
            LabelOperator::Exists => f.write_str(key),
            LabelOperator::GreaterThan => write!(f, "{key}>{values}"),
            LabelOperator::In => write!(f, "{key} in ({values})"),
            LabelOperator::LessThan => write!(f, "{key}<{values}"),
            LabelOperator::NotEquals => write!(f, "{key}!={values}"),
            LabelOperator::NotIn => write!(f, "{key} notin ({values})"),
        }
    }
}

// === impl FieldSelector ===

impl FieldSelector {
    /// Reads a selector. Whether its paths can be selected by is the server's to know.
    ///
    /// # Errors
    ///
    /// [`SelectorError`] where a term has no operator or its value is escaped wrongly.
    ///
    /// # Example
    ///
    /// ```
    /// use tidings_api::selector::FieldSelector;
    ///
    /// let selector = FieldSelector::parse(r"metadata.name=a\,b").unwrap();
    /// assert_eq!(selector.exact("metadata.name"), Some("a,b"));
    /// assert_eq!(selector.to_string(), r"metadata.name=a\,b");
    /// ```
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut terms = lex::terms(text)?;
        terms.sort();
        Ok(Self { terms })
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The conditions, all of which must hold.
    #[must_use]
    pub fn terms(&self) -> &[FieldTerm] {
        &self.terms
    }

    /// The value that a field must have, if the selector demands one.
    #[must_use]
    pub fn exact(&self, path: &str) -> Option<&str> {
        let mut terms = self.terms.iter();
        let term = terms.find(|term| !term.negated && term.path == path);
        term.map(|term| term.value.as_str())
    }

    /// Whether fields, looked up by path, satisfy every term; an absent one is empty.
    pub fn matches<'a>(&self, mut lookup: impl FnMut(&str) -> Option<&'a str>) -> bool {
        self.terms.iter().all(|term| {
            let value = lookup(&term.path).unwrap_or_default();
            (value == term.value) != term.negated
        })
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        separated(f, &self.terms)
    }
}

// === impl FieldTerm ===

impl FieldTerm {
    /// The path of the field, such as `spec.nodeName`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the field must differ from the value.
    #[must_use]
    pub fn is_negated(&self) -> bool {
        self.negated
    }

    /// The value, without escapes.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for FieldTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = if self.negated { "!=" } else { "=" };
        write!(f, "{}{operator}", self.path)?;
        for character in self.value.chars() {
            if matches!(character, '\\' | ',' | '=') {
                f.write_str("\\")?;
            }
            write!(f, "{character}")?;
        }
        Ok(())
    }
}

// === impl SelectorError ===

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            SelectorProblem::Escape => f.write_str("invalid escape sequence")?,
            SelectorProblem::Expected { found, expected } => {
                write!(f, "found '{found}', expected: {expected}")?;
            }
            SelectorProblem::Key => f.write_str("not a label key")?,
            SelectorProblem::NotAnInteger => f.write_str("the value must be an integer")?,
            SelectorProblem::NoOperator => f.write_str("a field term without operator")?,
            SelectorProblem::Unescaped => f.write_str("unescaped character in value")?,
            SelectorProblem::Value => f.write_str("not a label value")?,
        }
        write!(f, " at byte {}", self.at)
    }
}

impl error::Error for SelectorError {}

fn separated<T: fmt::Display>(f: &mut fmt::Formatter<'_>, parts: &[T]) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(f, "{comma}{part}")?;
    }
    Ok(())
}

/// One pass over a JSON object of labels: bit i says whether requirement i holds.
struct Pass<'a> {
    requirements: &'a [LabelRequirement],
    absent: u64,
}

impl<'de> Visitor<'de> for Pass<'_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u64, A::Error> {
        #[derive(Deserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
        let mut held = self.absent;
        while let Some((Text(key), Text(value))) = map.next_entry()? {
            for (index, requirement) in self.requirements.iter().enumerate() {
                if requirement.key == key {
                    held &= !(1 << index);
                    held |= u64::from(requirement.matches(Some(&value))) << index;
                }
            }
        }
        Ok(held)
    }
}

#[cfg(test)]
mod tests;
