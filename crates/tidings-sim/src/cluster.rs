//! The servers: one etcd, and some API servers that follow it, each some way behind.
//!
//! Does not send anything: the link does. All of them are the embedded API server's own state.
//!
//! ```text
//!  writers --> etcd --follow--> replica 0 --> lists at rv=0, watches
//!                  \--follow--> replica 1        a consistent list makes it follow at once (pr-L1)
//! ```

use std::sync::Arc;

use serde_json::{Value, json};
use tidings_api::{Instant, ResourceVersion};
use tidings_apiserver::{
    State,
    state::{Admission, Checkpoint, Stored, Terms},
};
use tidings_engine::lease::{Record, WriteOutcome};

use crate::{
    election,
    knobs::Knobs,
    model::Model,
    ops::{Content, Kind, Slot, WatchLists},
};

pub(crate) struct Cluster {
    pub(crate) etcd: State,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) model: Model,
    checkpoint: Option<Checkpoint>,
    /// The writes so far: makes each content differ.
    written: u64,
    /// The version up to which the model was told.
    told: u64,
    /// The highest version of a history that is no more.
    lost: u64,
}

pub(crate) struct Replica {
    pub(crate) state: State,
    pub(crate) lag_millis: u32,
    /// Until then it hears nothing of etcd.
    pub(crate) stuck_until: Instant,
    pub(crate) watch_lists: WatchLists,
}

// === impl Cluster ===

impl Cluster {
    pub(crate) fn new(knobs: &Knobs) -> Self {
        let mut etcd = State::new(knobs.seed);
        create_definition(&mut etcd);
        let rv = etcd.resource_version();
        let ring = usize::try_from(knobs.ring).unwrap_or(usize::MAX);
        let replica = |_| Replica {
            state: etcd.replica(ring),
            lag_millis: 0,
            stuck_until: Instant::ZERO,
            watch_lists: WatchLists::On,
        };
        Self {
            replicas: (0..knobs.replicas.max(1)).map(replica).collect(),
            model: Model::new(rv),
            checkpoint: None,
            written: 0,
            told: rv,
            lost: 0,
            etcd,
        }
    }

    /// Where a kind stands in a state, if it is served.
    pub(crate) fn resource(state: &State, kind: Kind) -> Option<usize> {
        let (group, plural) = path_of(kind);
        state.resource(group, "v1", plural)
    }

    pub(crate) fn put(&mut self, slot: Slot, content: Content) -> &'static str {
        let Some(resource) = Self::resource(&self.etcd, slot.kind) else {
            return "not served";
        };
        let document = self.document(slot, content);
        let namespace = slot.namespace_name();
        let done = if self.etcd.get(resource, &slot.key()).is_some() {
            match self.etcd.update(resource, &slot.key(), document) {
                Ok(_) => "updated",
                Err(_) => "refused",
            }
        } else {
            let created = self.etcd.create(resource, Some(&namespace), document, 0);
            if created.is_ok() {
                "created"
            } else {
                "refused"
            }
        };
        self.tell_model();
        done
    }

    /// An update by a worker: the object as it is, with another content.
    pub(crate) fn touch(&mut self, kind: Kind, key: &str) -> bool {
        let Some(resource) = Self::resource(&self.etcd, kind) else {
            return false;
        };
        let Some(stored) = self.etcd.get(resource, key) else {
            return false;
        };
        let mut document = stored.document();
        if !document["metadata"]["deletionTimestamp"].is_null() {
            return false;
        }
        document["spec"]["seen"] = self.written.into();
        self.written += 1;
        let is_done = self.etcd.update(resource, key, document).is_ok();
        self.tell_model();
        is_done
    }

    pub(crate) fn delete(&mut self, slot: Slot) -> &'static str {
        let Some(resource) = Self::resource(&self.etcd, slot.kind) else {
            return "not served";
        };
        let deleted = self.etcd.delete(resource, &slot.key(), 1);
        self.tell_model();
        if deleted.is_ok() { "deleted" } else { "absent" }
    }

    pub(crate) fn finalize(&mut self, slot: Slot) -> &'static str {
        let Some(resource) = Self::resource(&self.etcd, slot.kind) else {
            return "not served";
        };
        let Some(stored) = self.etcd.get(resource, &slot.key()) else {
            return "absent";
        };
        let mut document = stored.document();
        document["metadata"]["finalizers"] = Value::Array(Vec::new());
        let updated = self.etcd.update(resource, &slot.key(), document);
        self.tell_model();
        if updated.is_ok() {
            "finalized"
        } else {
            "refused"
        }
    }

    pub(crate) fn delete_definition(&mut self) {
        if let Some(definitions) = definitions(&self.etcd) {
            // It may be gone already.
            let _ = self.etcd.delete(definitions, DEFINITION, 1);
        }
        while self.etcd.collect(1) {}
        self.tell_model();
    }

    pub(crate) fn create_definition(&mut self) {
        create_definition(&mut self.etcd);
        self.tell_model();
    }

    /// The Lease that candidates stand for.
    pub(crate) fn lease(&self) -> Option<Arc<Stored>> {
        let leases = leases(&self.etcd)?;
        self.etcd.get(leases, LEASE).cloned()
    }

    /// Creates the Lease, or replaces it if it still has a version.
    pub(crate) fn write_lease(
        &mut self,
        record: &Record,
        version: Option<&ResourceVersion>,
    ) -> WriteOutcome {
        let Some(leases) = leases(&self.etcd) else {
            return WriteOutcome::Unknown;
        };
        let document = election::document(record, version);
        let written = match version {
            None => self.etcd.create(leases, Some("default"), document, 0),
            Some(_) => self.etcd.update(leases, LEASE, document),
        };
        self.tell_model();
        match written {
            Ok(stored) => WriteOutcome::Stored {
                version: ResourceVersion::from_revision(stored.resource_version()),
            },
            // 409 of both, and 404 of an update: the Lease is not what it was.
            Err(_) => WriteOutcome::Conflict,
        }
    }

    /// Everybody forgets what was; etcd's own tokens with it.
    pub(crate) fn compact(&mut self) {
        self.etcd.compact();
        let (now, rv) = (Instant::FAR_FUTURE, self.etcd.resource_version());
        for index in 0..self.replicas.len() {
            self.follow(index, now, rv);
            self.replicas[index].state.compact();
        }
    }

    pub(crate) fn keep(&mut self) {
        self.checkpoint = Some(self.etcd.checkpoint());
    }

    /// Goes back to what was kept, if anything was: whether it did.
    pub(crate) fn restore(&mut self) -> bool {
        let Some(checkpoint) = &self.checkpoint else {
            return false;
        };
        let before = self.etcd.resource_version();
        self.etcd.restore(checkpoint);
        let rv = self.etcd.resource_version();
        debug_assert!(rv <= before, "a copy of this history");
        self.model.restore(rv);
        self.told = rv;
        self.lost = self.lost.max(before);
        for replica in &mut self.replicas {
            let ring = RING_AFTER_RESTORE;
            replica.state = self.etcd.replica(ring);
            replica.stuck_until = Instant::ZERO;
        }
        // The copy is of the history that it began.
        self.checkpoint = Some(self.etcd.checkpoint());
        true
    }

    /// A write of the history after a restore, or of the calm after the faults.
    pub(crate) fn put_after_restore(&mut self, number: u8) {
        let kind = [Kind::Pod, Kind::ConfigMap, Kind::Widget][usize::from(number % 3)];
        let slot = Slot {
            kind,
            namespace: 0,
            name: number % 4,
        };
        self.put(slot, Content::default());
    }

    /// The highest version that there ever was, in any history.
    pub(crate) fn highest(&self) -> u64 {
        self.lost.max(self.etcd.resource_version())
    }

    /// Lets an API server follow etcd up to a version, unless it hears nothing of it. Whether it hears.
    pub(crate) fn follow(&mut self, index: usize, now: Instant, rv: u64) -> bool {
        let replica = &mut self.replicas[index];
        if replica.stuck_until > now {
            return false;
        }
        replica.state.follow(&self.etcd, rv);
        true
    }

    fn document(&mut self, slot: Slot, content: Content) -> Value {
        let (group, _) = path_of(slot.kind);
        let api_version = match group {
            "" => "v1".to_owned(),
            group => format!("{group}/v1"),
        };
        self.written += 1;
        let number = if content.poison {
            Value::from("poison")
        } else {
            Value::from(self.written)
        };
        let mut document = json!({
            "apiVersion": api_version,
            "kind": kind_name(slot.kind),
            "metadata": {
                "name": format!("k{}", slot.name),
                "labels": { "app": format!("a{}", content.app) },
            },
            "spec": { "n": number, "nodeName": format!("n{}", content.node), "text": "\u{1f9ed} \"q\" \\ \n" },
        });
        if content.finalizer {
            document["metadata"]["finalizers"] = json!(["example.com/keep"]);
        }
        document
    }

    /// Tells the model what was written since.
    fn tell_model(&mut self) {
        for change in self.etcd.changed_since(self.told) {
            if let Some(kind) = kind_of(change.plural) {
                self.model
                    .note(change.rv, kind, change.object, change.is_deleted);
            }
        }
        self.told = self.etcd.resource_version();
    }
}

fn leases(state: &State) -> Option<usize> {
    state.resource("coordination.k8s.io", "v1", "leases")
}

fn definitions(state: &State) -> Option<usize> {
    state.resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
}

fn create_definition(state: &mut State) {
    let Some(definitions) = definitions(state) else {
        return;
    };
    let terms = Terms {
        admission: Admission::Strict,
        ..Terms::open(0)
    };
    let document = json!({ "metadata": { "name": DEFINITION }, "spec": {
        "group": "example.com", "scope": "Namespaced",
        "names": { "plural": "widgets", "kind": "Widget" },
        "conversion": { "strategy": "None" },
        "versions": [{ "name": "v1", "served": true, "storage": true,
            "schema": { "openAPIV3Schema": { "type": "object",
                "x-kubernetes-preserve-unknown-fields": true } } }]
    } });
    // There may be one.
    let _ = state.create_with(definitions, None, document, &terms);
}

/// Group and plural name.
pub(crate) const fn path_of(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Pod => ("", "pods"),
        Kind::ConfigMap => ("", "configmaps"),
        Kind::Widget => ("example.com", "widgets"),
    }
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Pod => "Pod",
        Kind::ConfigMap => "ConfigMap",
        Kind::Widget => "Widget",
    }
}

fn kind_of(plural: &str) -> Option<Kind> {
    [Kind::Pod, Kind::ConfigMap, Kind::Widget]
        .into_iter()
        .find(|kind| path_of(*kind).1 == plural)
}

const LEASE: &str = "default/leader";
const DEFINITION: &str = "widgets.example.com";
const RING_AFTER_RESTORE: usize = 1000;
