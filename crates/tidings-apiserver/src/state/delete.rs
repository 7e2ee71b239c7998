//! Deletions: one object or a selection, at once or when its finalizers are gone.
//!
//! Does not end what waits for somebody else: a pod on a node goes when its kubelet says so, with a grace of 0.
//!
//! Source: registry/generic/registry/store.go, registry/rest/delete.go @v0.36.3; rules pr-E2, pr-N12; the
//! sentences of refusals are those of a real server.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Effect, Outcome, State, Stored,
    list::{ListQuery, Page},
    table::age::unix_seconds,
    write::{Terms, Written},
};
use crate::{kind::KindRow, refusal::Refusal, seed::timestamp};

/// What must hold for a delete to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the protocol's own two")]
pub struct Preconditions {
    /// The uid that the object must have.
    pub uid: Option<String>,
    /// The resourceVersion that the object must have.
    pub resource_version: Option<String>,
}

/// What becomes of the objects that a deleted one owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the protocol's own three")]
pub enum Propagation {
    /// They go after it.
    Background,
    /// They go before it.
    Foreground,
    /// They stay, and forget it.
    Orphan,
}

/// The options of a deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the options of the protocol")]
pub struct DeleteOptions {
    /// What must hold.
    pub preconditions: Preconditions,
    /// What becomes of dependents; by default what the kind and its finalizers say.
    pub propagation: Option<Propagation>,
    /// How long a pod that has a node may take to end; by default what it says itself.
    pub grace_seconds: Option<u64>,
}

impl State {
    /// Deletes an object, or marks it as being deleted while it has finalizers (pr-N12).
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: not there.
    pub fn delete(&mut self, resource: usize, key: &str, now: u64) -> Written {
        let options = DeleteOptions::default();
        let deleted = self.delete_with(resource, key, &options, &Terms::open(now));
        deleted.map(|outcome| outcome.object)
    }

    /// Deletes an object if it is the one that is meant (pr-N12).
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: not there, another one, or one that may not go.
    pub fn delete_with(
        &mut self,
        resource: usize,
        key: &str,
        options: &DeleteOptions,
        terms: &Terms<'_>,
    ) -> Result<Outcome, Refusal> {
        let row = self.row(resource);
        let old = self.existing(resource, key)?;
        check_preconditions(&row, &old, &options.preconditions)?;
        if row.is("", "Namespace") && IMMORTAL.contains(&key) {
            return Err(Refusal::forbidden(
                &row,
                key,
                "this namespace may not be deleted",
            ));
        }
        let was = old.document();
        let mut document = was.clone();
        let is_marked = !was["metadata"]["deletionTimestamp"].is_null();
        set_finalizers(&row, &mut document, options.propagation, terms.is_strict());
        let is_free = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
        if row.is(DEFINITIONS.0, DEFINITIONS.1) && !is_marked {
            add_finalizer(&mut document, CLEANUP);
            self.note_ending(&mut document, terms.now);
        }
        let is_namespace = row.is("", "Namespace");
        let is_pod = row.is("", "Pod") && terms.is_strict();
        let grace = if is_pod {
            end_softly(&was, &mut document, options, terms.now)
        } else {
            0
        };
        let waits = (is_namespace && !is_free(&document["spec"]["finalizers"])) || grace > 0;
        if is_free(&document["metadata"]["finalizers"]) && !waits {
            let mut object = self.remove(resource, &old, terms);
            if is_pod {
                object = Arc::new(self.lay_out(resource, document, object.rv));
            }
            return Ok(Outcome::new(object, Effect::Deleted));
        }
        if !is_marked && !is_pod {
            document["metadata"]["deletionTimestamp"] = timestamp(terms.now).into();
            if is_namespace {
                document["status"]["phase"] = "Terminating".into();
            } else if !row.is(DEFINITIONS.0, DEFINITIONS.1) {
                document["metadata"]["deletionGracePeriodSeconds"] = 0.into();
                if row.generation {
                    let generation = was["metadata"]["generation"].as_u64().unwrap_or(1);
                    document["metadata"]["generation"] = (generation + 1).into();
                }
            }
        }
        if document == was {
            return Ok(Outcome::new(old, Effect::Updated));
        }
        let rv = if terms.dry_run { old.rv } else { self.rv + 1 };
        let stored = self.lay_out(resource, document, rv);
        let object = self.put(resource, stored, Some(old), terms);
        if !terms.dry_run {
            self.note_marked(resource, &object);
        }
        Ok(Outcome::new(object, Effect::Updated))
    }

    /// Deletes what a list selects, and returns what there was.
    ///
    /// # Errors
    ///
    /// The [`Refusal`] of the list, or of the first object that may not go.
    pub fn delete_collection(
        &mut self,
        resource: usize,
        query: &ListQuery,
        options: &DeleteOptions,
        terms: &Terms<'_>,
    ) -> Result<Page, Refusal> {
        let page = self.list(resource, query)?;
        for object in &page.items {
            self.delete_with(resource, object.key(), options, terms)?;
        }
        Ok(page)
    }
}

/// Marks a pod as ending, and returns the seconds that it has for it: none unless it is on a node and runs.
fn end_softly(was: &Value, document: &mut Value, options: &DeleteOptions, now: u64) -> u64 {
    let is_over = matches!(
        was["status"]["phase"].as_str(),
        Some("Failed" | "Succeeded")
    );
    let is_placed = was["spec"]["nodeName"]
        .as_str()
        .is_some_and(|node| !node.is_empty());
    let own = was["spec"]["terminationGracePeriodSeconds"].as_u64();
    let asked = options.grace_seconds.or(own).unwrap_or(30);
    let grace = if is_over || !is_placed { 0 } else { asked };
    let meta = &was["metadata"];
    let end = meta["deletionTimestamp"].as_str().and_then(unix_seconds);
    let end = end.and_then(|end| u64::try_from(end).ok());
    let mut ends_at = now + grace;
    if let Some(end) = end {
        let before = meta["deletionGracePeriodSeconds"].as_u64().unwrap_or(0);
        if grace >= before {
            return before;
        }
        // What has been promised is only made shorter.
        ends_at = (end + grace).saturating_sub(before);
    }
    document["metadata"]["deletionTimestamp"] = timestamp(ends_at).into();
    document["metadata"]["deletionGracePeriodSeconds"] = grace.into();
    if end.is_none() {
        let generation = meta["generation"].as_u64().unwrap_or(1);
        document["metadata"]["generation"] = (generation + 1).into();
    }
    grace
}

fn check_preconditions(
    row: &KindRow,
    old: &Arc<Stored>,
    preconditions: &Preconditions,
) -> Result<(), Refusal> {
    let rv = old.rv.to_string();
    for (what, wanted, is, perhaps) in [
        (
            "UID",
            &preconditions.uid,
            &old.uid,
            "deleted and then recreated",
        ),
        (
            "ResourceVersion",
            &preconditions.resource_version,
            &rv,
            "modified",
        ),
    ] {
        if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != is) {
            let why = format!(
                "the {what} in the precondition ({wanted}) does not match the {what} in record \
                 ({is}). The object might have been {perhaps}"
            );
            return Err(Refusal::kind_conflict(row, &old.name, &why));
        }
    }
    Ok(())
}

/// The finalizers that make dependents go first, or stay.
fn set_finalizers(
    row: &KindRow,
    document: &mut Value,
    propagation: Option<Propagation>,
    is_strict: bool,
) {
    let by_default = || {
        (is_strict && row.orphans && !has_finalizer(document, FOREGROUND))
            .then_some(Propagation::Orphan)
    };
    let Some(propagation) = propagation.or_else(by_default) else {
        return;
    };
    if let Some(finalizers) = document["metadata"]["finalizers"].as_array_mut() {
        finalizers.retain(|it| it != FOREGROUND && it != ORPHAN);
    }
    match propagation {
        Propagation::Background => {}
        Propagation::Foreground => add_finalizer(document, FOREGROUND),
        Propagation::Orphan => add_finalizer(document, ORPHAN),
    }
}

fn add_finalizer(document: &mut Value, finalizer: &str) {
    if has_finalizer(document, finalizer) {
        return;
    }
    match document["metadata"]["finalizers"].as_array_mut() {
        Some(finalizers) => finalizers.push(finalizer.into()),
        None => document["metadata"]["finalizers"] = json!([finalizer]),
    }
}

/// Whether an object has a finalizer.
pub(super) fn has_finalizer(document: &Value, finalizer: &str) -> bool {
    let finalizers = document["metadata"]["finalizers"].as_array();
    finalizers.is_some_and(|finalizers| finalizers.iter().any(|it| it == finalizer))
}

/// Dependents go first.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// Dependents stay.
pub(super) const ORPHAN: &str = "orphan";
/// The objects of a definition go first.
pub(super) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";
/// Group and kind of definitions.
pub(super) const DEFINITIONS: (&str, &str) = ("apiextensions.k8s.io", "CustomResourceDefinition");
/// Namespaces that no one deletes.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];
