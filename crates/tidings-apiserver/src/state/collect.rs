//! What follows from a deletion: dependents, the content of namespaces, the objects of definitions.
//!
//! Does not run by itself: each write notes what is to be looked at, and whoever serves the state takes
//! one step after the other until there is no more work.
//!
//! C1  A step touches at most `BATCH_MAX` objects.
//! C2  An object goes when all its owners are gone, or wait for it; an owner of an unknown kind counts
//!     as there, for nobody can say that it is not.
//! C3  Objects laid down without admission are not asked for their owners; they follow an owner that
//!     is deleted later.
//! Source: kubernetes pkg/controller/garbagecollector/garbagecollector.go, pkg/controller/namespace
//! @v1.36.3.

use std::{ops::Bound, sync::Arc};

use serde_json::Value;

use super::{
    State, Stored,
    delete::{CLEANUP, DEFINITIONS, DeleteOptions, FOREGROUND, ORPHAN, Propagation, has_finalizer},
    write::{Part, Terms},
};

/// An object to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Work {
    resource: usize,
    key: String,
}

/// How an owner stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Absent,
    Solid,
    Unknown,
    /// It is being deleted, and waits for its dependents.
    Waiting,
}

impl State {
    /// Does a part of what follows from the writes so far; `false` when there was nothing to do.
    pub fn collect(&mut self, now: u64) -> bool {
        let Some(work) = self.work.pop_first() else {
            return false;
        };
        let Some(object) = self.get(work.resource, &work.key).cloned() else {
            return true;
        };
        let document = object.document();
        let is_marked = !document["metadata"]["deletionTimestamp"].is_null();
        let row = self.kind(work.resource);
        if is_marked && row.is("", "Namespace") {
            self.empty_namespace(work, &document, now);
        } else if is_marked && row.is(DEFINITIONS.0, DEFINITIONS.1) {
            self.empty_definition(work, &object, &document, now);
        } else if is_marked && has_finalizer(&document, ORPHAN) {
            self.orphan(work, &object, document);
        } else if is_marked && has_finalizer(&document, FOREGROUND) {
            self.wait_for_dependents(&work, &object, document);
        } else if !is_marked {
            self.check_owners(&work, &object, document, now);
        }
        true
    }

    /// Whether there is something to collect.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    pub(super) fn look_at(&mut self, resource: usize, key: &str) {
        let key = key.to_owned();
        self.work.insert(Work { resource, key });
    }

    /// The dependents of an object: resource and key.
    fn dependents_of(&self, uid: &str) -> Vec<(usize, Arc<str>)> {
        let found = self.dependents.get(uid);
        found.into_iter().flatten().cloned().collect()
    }

    /// Keeps the index of dependents, and notes what a written object asks for.
    pub(super) fn note_put(
        &mut self,
        resource: usize,
        previous: Option<&Stored>,
        object: &Stored,
        terms: &Terms<'_>,
    ) {
        let storage = self.places[resource].storage;
        let before: &[String] = previous.map_or(&[], |previous| &previous.owners);
        if *before != *object.owners {
            self.forget_owners(storage, before, &object.key);
            // Who waited for this object perhaps waits no longer.
            let document = previous.filter(|it| !it.owners.is_empty());
            let document = document.map(Stored::document).unwrap_or_default();
            for owner in owners(&document) {
                if let Some((resource, key)) = self.locate(owner, &object.namespace) {
                    self.look_at(resource, &key);
                }
            }
            for uid in &object.owners {
                let dependents = self.dependents.entry(uid.clone()).or_default();
                dependents.insert((storage, object.key.clone()));
            }
            if terms.is_strict() {
                self.look_at(storage, &object.key);
            }
        }
        if self.kinds[storage].is(DEFINITIONS.0, DEFINITIONS.1) {
            self.define(object);
        }
    }

    /// Notes an object that waits for its end.
    pub(super) fn note_marked(&mut self, resource: usize, object: &Stored) {
        self.look_at(self.places[resource].storage, &object.key);
    }

    fn forget_owners(&mut self, storage: usize, owners: &[String], key: &Arc<str>) {
        for uid in owners {
            if let Some(dependents) = self.dependents.get_mut(uid) {
                dependents.remove(&(storage, Arc::clone(key)));
                if dependents.is_empty() {
                    self.dependents.remove(uid);
                }
            }
        }
    }

    /// Notes who is concerned by an object's end: its dependents, the owners that wait for it, and its
    /// namespace and definition, if they wait for it.
    pub(super) fn note_removal(&mut self, resource: usize, old: &Stored) {
        let storage = self.places[resource].storage;
        self.forget_owners(storage, &old.owners, &old.key);
        for (resource, key) in self.dependents_of(&old.uid) {
            self.look_at(resource, &key);
        }
        if !old.owners.is_empty() {
            let document = old.document();
            for owner in owners(&document) {
                if let Some((resource, key)) = self.locate(owner, &old.namespace) {
                    self.look_at(resource, &key);
                }
            }
        }
        if self.kinds[storage].is(DEFINITIONS.0, DEFINITIONS.1) {
            self.undefine(&old.uid);
        }
        if let Some(namespaces) = self.namespaces().filter(|_| !old.namespace.is_empty())
            && self.is_marked(namespaces, &old.namespace)
        {
            self.look_at(namespaces, &old.namespace);
        }
        let row = &self.kinds[storage];
        let definition = format!("{}.{}", row.plural, row.group);
        if row.is_custom()
            && let Some(definitions) =
                self.resource(DEFINITIONS.0, "v1", "customresourcedefinitions")
            && self.is_marked(definitions, &definition)
        {
            self.look_at(definitions, &definition);
        }
    }

    /// Finds all owners anew, and what is to be done: after the state was put back.
    pub(super) fn rebuild(&mut self) {
        self.dependents.clear();
        self.work.clear();
        self.redefine();
        for resource in 0..self.kinds.len() {
            if self.places[resource].storage != resource {
                continue;
            }
            // A copy of the map: its objects are shared.
            let objects = self.objects(resource).clone();
            for (key, object) in &objects {
                for uid in &object.owners {
                    let dependents = self.dependents.entry(uid.clone()).or_default();
                    dependents.insert((resource, key.clone()));
                }
                if self.is_marked(resource, key) {
                    self.look_at(resource, key);
                }
            }
        }
    }

    /// Whether an object is being deleted.
    pub(super) fn is_marked(&self, resource: usize, key: &str) -> bool {
        let object = self.get(resource, key);
        object.is_some_and(|object| {
            // Most objects do not even have the word: they need not be parsed.
            object.says("\"deletionTimestamp\"")
                && !object.document()["metadata"]["deletionTimestamp"].is_null()
        })
    }

    /// Where an owner would be: the kind that it names, and its key.
    fn locate(&self, owner: &Value, namespace: &str) -> Option<(usize, String)> {
        let text = |name: &str| owner[name].as_str().unwrap_or_default();
        let (group, version) = text("apiVersion")
            .rsplit_once('/')
            .unwrap_or_else(|| ("", text("apiVersion")));
        let mut rows = self.kinds.iter().zip(&self.places);
        let index = rows.position(|(row, place)| {
            place.served && row.is(group, text("kind")) && row.version == version
        })?;
        let key = if self.kinds[index].namespaced {
            format!("{namespace}/{}", text("name"))
        } else {
            text("name").to_owned()
        };
        Some((self.places[index].storage, key))
    }

    fn standing(&self, owner: &Value, namespace: &str) -> Owner {
        let Some((resource, key)) = self.locate(owner, namespace) else {
            return Owner::Unknown;
        };
        let found = self.get(resource, &key);
        let Some(found) = found.filter(|found| owner["uid"] == *found.uid) else {
            return Owner::Absent;
        };
        if !self.is_marked(resource, &key) {
            return Owner::Solid;
        }
        if has_finalizer(&found.document(), FOREGROUND) {
            Owner::Waiting
        } else {
            Owner::Solid
        }
    }

    /// C2: an object whose owners are gone, or wait for it.
    fn check_owners(&mut self, work: &Work, object: &Stored, mut document: Value, now: u64) {
        let all: Vec<Owner> = owners(&document)
            .map(|owner| self.standing(owner, &object.namespace))
            .collect();
        let has = |standing| all.contains(&standing);
        if all.is_empty() || has(Owner::Unknown) {
            return;
        }
        if has(Owner::Solid) {
            if let Some(list) = document["metadata"]["ownerReferences"].as_array_mut() {
                let mut standing = all.iter();
                list.retain(|_| standing.next() == Some(&Owner::Solid));
            }
            self.rewrite(work, document);
            return;
        }
        let dependents = self.dependents_of(&object.uid);
        let mut propagation = Propagation::Background;
        if has(Owner::Waiting) && !dependents.is_empty() {
            let waits = |(resource, key): &(usize, Arc<str>)| {
                self.get(*resource, key)
                    .is_some_and(|it| has_finalizer(&it.document(), FOREGROUND))
            };
            if dependents.iter().any(waits) {
                // They wait for one another: this one stops blocking, so that the circle opens.
                unblock(&mut document);
                self.rewrite(work, document.clone());
                for owner in owners(&document) {
                    if let Some((resource, key)) = self.locate(owner, &object.namespace) {
                        self.look_at(resource, &key);
                    }
                }
            }
            propagation = Propagation::Foreground;
        }
        let options = DeleteOptions {
            propagation: Some(propagation),
            ..DeleteOptions::default()
        };
        // It was there a moment ago, and nothing forbids it.
        let _ = self.delete_with(work.resource, &work.key, &options, &Terms::open(now));
    }

    /// An owner whose dependents stay: each forgets it, then it may go.
    fn orphan(&mut self, work: Work, object: &Stored, document: Value) {
        let dependents = self.dependents_of(&object.uid);
        for (resource, key) in dependents.iter().take(BATCH_MAX) {
            let Some(dependent) = self.get(*resource, key).cloned() else {
                continue;
            };
            let mut document = dependent.document();
            if let Some(list) = document["metadata"]["ownerReferences"].as_array_mut() {
                list.retain(|owner| owner["uid"] != *object.uid);
            }
            let (resource, key) = (*resource, key.to_string());
            self.rewrite(&Work { resource, key }, document);
        }
        if dependents.len() > BATCH_MAX {
            self.work.insert(work);
        } else {
            self.finish(&work, document, ORPHAN);
        }
    }

    /// An owner that waits: the dependents that block it are looked at; without any it may go.
    fn wait_for_dependents(&mut self, work: &Work, object: &Stored, document: Value) {
        let mut blocking = Vec::new();
        for (resource, key) in self.dependents_of(&object.uid) {
            let Some(dependent) = self.get(resource, &key) else {
                continue;
            };
            let document = dependent.document();
            let mut owners = owners(&document);
            if owners.any(|it| it["uid"] == *object.uid && it["blockOwnerDeletion"] == true) {
                blocking.push((resource, key));
            }
        }
        if blocking.is_empty() {
            self.finish(work, document, FOREGROUND);
        }
        for (resource, key) in blocking {
            if !self.is_marked(resource, &key) {
                self.look_at(resource, &key);
            }
        }
    }

    /// A namespace that is being deleted: its content goes, and then it.
    fn empty_namespace(&mut self, work: Work, document: &Value, now: u64) {
        let range = [format!("{}/", work.key), format!("{}0", work.key)];
        let (from, to) = (Bound::Included(&*range[0]), Bound::Excluded(&*range[1]));
        let mut left = false;
        let mut batch = Vec::new();
        for resource in 0..self.kinds.len() {
            let is_storage = self.places[resource].storage == resource;
            if !is_storage || !self.kinds[resource].namespaced {
                continue;
            }
            for (key, _) in self.objects(resource).range::<_, str>((from, to)) {
                left = true;
                if batch.len() < BATCH_MAX && !self.is_marked(resource, key) {
                    batch.push((resource, key.clone()));
                }
            }
        }
        if !left {
            let mut document = document.clone();
            if let Some(spec) = document["spec"].as_object_mut() {
                spec.remove("finalizers");
            }
            return self.rewrite(&work, document);
        }
        self.delete_all(work, &batch, now);
    }

    /// A definition that is being deleted: its objects go, and then it.
    fn empty_definition(&mut self, work: Work, object: &Stored, document: &Value, now: u64) {
        let mut batch = Vec::new();
        let mut left = false;
        if let Some(resource) = self.defined(&object.uid) {
            for key in self.objects(resource).keys() {
                left = true;
                if batch.len() < BATCH_MAX && !self.is_marked(resource, key) {
                    batch.push((resource, key.clone()));
                }
            }
        }
        if !left {
            return self.finish(&work, document.clone(), CLEANUP);
        }
        self.delete_all(work, &batch, now);
    }

    fn delete_all(&mut self, work: Work, batch: &[(usize, Arc<str>)], now: u64) {
        let options = DeleteOptions {
            propagation: Some(Propagation::Background),
            ..DeleteOptions::default()
        };
        for (resource, key) in batch {
            // They were there a moment ago, and nothing forbids it.
            let _ = self.delete_with(*resource, key, &options, &Terms::open(now));
        }
        // An empty batch: what is left has finalizers, and its end brings the work back.
        if !batch.is_empty() {
            self.work.insert(work);
        }
    }

    /// Takes a finalizer away.
    fn finish(&mut self, work: &Work, mut document: Value, finalizer: &str) {
        if let Some(finalizers) = document["metadata"]["finalizers"].as_array_mut() {
            finalizers.retain(|it| it != finalizer);
        }
        self.rewrite(work, document);
    }

    fn rewrite(&mut self, work: &Work, document: Value) {
        // The document is the object's own of a moment ago: nothing refuses it.
        let terms = Terms::open(0);
        let _ = self.update_with(work.resource, &work.key, document, Part::Whole, &terms);
    }
}

fn owners(document: &Value) -> impl Iterator<Item = &Value> {
    let owners = document["metadata"]["ownerReferences"].as_array();
    owners.into_iter().flatten()
}

fn unblock(document: &mut Value) {
    let list = document["metadata"]["ownerReferences"].as_array_mut();
    for owner in list.into_iter().flatten() {
        owner["blockOwnerDeletion"] = false.into();
    }
}

/// Objects that one step touches.
const BATCH_MAX: usize = 100;

#[cfg(test)]
mod tests;
