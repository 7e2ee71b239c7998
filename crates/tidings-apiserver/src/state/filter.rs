//! What a list or watch selects: a namespace or all, and the two selectors.

use std::ops::Bound;

use tidings_api::selector::{FieldSelector, LabelSelector};

use super::object::Stored;
use crate::{kind::KindRow, refusal::Refusal};

#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    namespace: Option<String>,
    labels: LabelSelector,
    fields: FieldSelector,
    /// For each term of the field selector, where its value is found.
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Field(usize),
    Name,
    Namespace,
}

impl Filter {
    pub(crate) fn new(
        row: &KindRow,
        namespace: Option<String>,
        labels: LabelSelector,
        fields: FieldSelector,
    ) -> Result<Self, Refusal> {
        let mut places = Vec::new();
        for term in fields.terms() {
            let place = match term.path() {
                "metadata.name" => Place::Name,
                "metadata.namespace" if row.namespaced => Place::Namespace,
                path => match row.field(path) {
                    Some(index) => Place::Field(index),
                    None => {
                        let why = format!("field label not supported: {path}");
                        return Err(Refusal::bad_request(why));
                    }
                },
            };
            places.push(place);
        }
        Ok(Self {
            namespace,
            labels,
            fields,
            places,
        })
    }

    /// Whether there is no selector: the namespace is no selector.
    pub(crate) fn is_plain(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Stored) -> bool {
        let (namespace, name) = split(object.key());
        if self.namespace.as_deref().is_some_and(|wanted| wanted != namespace) {
            return false;
        }
        let held = self.fields.terms().iter().zip(&self.places).all(|(term, place)| {
            let value = match place {
                Place::Field(index) => object.field(*index).unwrap_or_default(),
                Place::Name => name,
                Place::Namespace => namespace,
            };
            (value == term.value()) != term.is_negated()
        });
        held && self.labels.matches_labels_json(object.labels_json())
    }

    /// What keys of this list begin with, which tokens leave out.
    pub(crate) fn prefix(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/"),
            None => String::new(),
        }
    }

    /// The keys that can match, from `start` on.
    pub(crate) fn range(&self, start: &str) -> (Bound<String>, Bound<String>) {
        let prefix = self.prefix();
        let end = match &self.namespace {
            // The slash is followed by '0' in ASCII: the first key after the prefix.
            Some(namespace) => Bound::Excluded(format!("{namespace}0")),
            None => Bound::Unbounded,
        };
        (Bound::Included(format!("{prefix}{start}")), end)
    }
}

/// A key as namespace (empty for a cluster-scoped object) and name.
pub(crate) fn split(key: &str) -> (&str, &str) {
    key.split_once('/').unwrap_or(("", key))
}
