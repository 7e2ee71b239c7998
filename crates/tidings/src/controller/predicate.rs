//! Which changes concern a controller at all.
//!
//! A predicate decides before any key is made. What is added and what is deleted always concerns it;
//! an update does if the parts that count differ. Without a predicate nothing is compared.
//!
//! For decoded payloads a part is a field: `predicate::changed(|pod| pod.spec.clone())`. For raw
//! objects [`generation`], [`labels`] and [`annotations`] read the JSON's metadata.
//!
//! Source: controller-runtime pkg/predicate @86a0d40e.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use tidings_api::Object;
use tidings_engine::{entry::Entry, fanout::Event};

use crate::payload::Raw;

/// Decides whether a change concerns a controller.
pub trait Predicate<P>: Send {
    /// Whether it does.
    fn admits(&mut self, event: &Event<'_, P>) -> bool;
}

/// Everything.
pub(super) struct Always;

/// See [`changed`].
struct Changed<F>(F);

/// See [`any`].
struct Any<A, B>(A, B);

/// See [`all`].
struct All<A, B>(A, B);

impl<P, F: FnMut(&Event<'_, P>) -> bool + Send> Predicate<P> for F {
    fn admits(&mut self, event: &Event<'_, P>) -> bool {
        self(event)
    }
}

/// Updates whose objects differ in a part.
pub fn changed<P, T: PartialEq>(part: impl FnMut(&Entry<P>) -> T + Send) -> impl Predicate<P> {
    Changed(part)
}

/// Updates of raw objects whose generation moved: of the spec, not of the status.
#[must_use]
pub fn generation() -> impl Predicate<Raw> {
    changed(|entry: &Entry<Raw>| meta(&entry.object).generation)
}

/// Updates of raw objects whose labels changed.
#[must_use]
pub fn labels() -> impl Predicate<Raw> {
    changed(|entry: &Entry<Raw>| meta(&entry.object).labels)
}

/// Updates of raw objects whose annotations changed.
#[must_use]
pub fn annotations() -> impl Predicate<Raw> {
    changed(|entry: &Entry<Raw>| meta(&entry.object).annotations)
}

/// What either of two admits.
pub fn any<P>(first: impl Predicate<P>, second: impl Predicate<P>) -> impl Predicate<P> {
    Any(first, second)
}

/// What both of two admit.
pub fn all<P>(first: impl Predicate<P>, second: impl Predicate<P>) -> impl Predicate<P> {
    All(first, second)
}

impl<P> Predicate<P> for Always {
    fn admits(&mut self, _event: &Event<'_, P>) -> bool {
        true
    }
}

impl<P, T: PartialEq, F: FnMut(&Entry<P>) -> T + Send> Predicate<P> for Changed<F> {
    fn admits(&mut self, event: &Event<'_, P>) -> bool {
        match event {
            // A resync tells the same object again because somebody asked to look at it again.
            Event::Updated { old, new } => {
                old.object.is_same_version(&new.object) || (self.0)(old) != (self.0)(new)
            }
            Event::Added { .. } | Event::Deleted { .. } | Event::Poisoned { .. } => true,
        }
    }
}

impl<P, A: Predicate<P>, B: Predicate<P>> Predicate<P> for Any<A, B> {
    fn admits(&mut self, event: &Event<'_, P>) -> bool {
        self.0.admits(event) || self.1.admits(event)
    }
}

impl<P, A: Predicate<P>, B: Predicate<P>> Predicate<P> for All<A, B> {
    fn admits(&mut self, event: &Event<'_, P>) -> bool {
        self.0.admits(event) && self.1.admits(event)
    }
}

/// What predicates read of an object's metadata.
#[derive(Default, Deserialize, PartialEq)]
struct Meta {
    generation: Option<i64>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct HasMeta<'a> {
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

/// The metadata of a raw object; nothing of one that cannot be read, so that it counts as changed to
/// and from one that can.
fn meta(object: &Object) -> Meta {
    let document: Result<HasMeta<'_>, _> = serde_json::from_str(object.json());
    let raw = document.ok().and_then(|document| document.metadata);
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default()
}
