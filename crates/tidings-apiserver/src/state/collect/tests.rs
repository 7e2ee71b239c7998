//! Who goes with whom: owners and dependents, namespaces and what is in them.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    Refusal, State,
    state::{Admission, DeleteOptions, Outcome, Patch, Propagation, Terms},
};

const NOW: u64 = 1_767_225_600;

struct Bench {
    state: State,
    maps: usize,
    namespaces: usize,
}

fn strict() -> Terms<'static> {
    Terms {
        admission: Admission::Strict,
        manager: "t",
        ..Terms::open(NOW)
    }
}

fn bench() -> Bench {
    let state = State::new(7);
    let maps = state.resource("", "v1", "configmaps").unwrap();
    let namespaces = state.resource("", "v1", "namespaces").unwrap();
    Bench {
        state,
        maps,
        namespaces,
    }
}

impl Bench {
    /// Creates a config map with owners: their names, a `!` behind one that it blocks.
    fn create(&mut self, name: &str, owners: &[&str]) -> Outcome {
        let owners: Vec<Value> = owners.iter().map(|owner| self.reference(owner)).collect();
        let document = json!({ "metadata": { "name": name, "ownerReferences": owners } });
        let (state, maps) = (&mut self.state, self.maps);
        let created = state.create_with(maps, Some("default"), document, &strict());
        created.unwrap()
    }

    fn reference(&self, owner: &str) -> Value {
        let name = owner.trim_end_matches('!');
        let uid = self.uid(name);
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid,
            "blockOwnerDeletion": owner.ends_with('!') })
    }

    fn uid(&self, name: &str) -> String {
        let key = format!("default/{name}");
        let found = self.state.get(self.maps, &key);
        found.map_or_else(|| "absent".to_owned(), |object| object.uid().to_owned())
    }

    fn delete(&mut self, name: &str, propagation: Option<Propagation>) {
        let options = DeleteOptions {
            propagation,
            ..DeleteOptions::default()
        };
        let key = format!("default/{name}");
        let deleted = self.state.delete_with(self.maps, &key, &options, &strict());
        deleted.unwrap();
    }

    fn patch(&mut self, name: &str, patch: &Value) {
        let (key, body) = (format!("default/{name}"), patch.to_string());
        let patched = self
            .state
            .patch(self.maps, &key, Patch::Merge, body.as_bytes());
        patched.unwrap();
    }

    /// The config maps after all has been collected, those that are being deleted in parentheses.
    fn settle(&mut self) -> String {
        let mut steps = 0;
        while self.state.collect(NOW) {
            steps += 1;
            assert!(steps < 1_000, "the work comes to an end");
        }
        self.names()
    }

    fn names(&self) -> String {
        let objects = self.state.objects(self.maps);
        let name = |key: &Arc<str>| {
            let name = key.trim_start_matches("default/");
            if self.state.is_marked(self.maps, key) {
                format!("({name})")
            } else {
                name.to_owned()
            }
        };
        objects.keys().map(name).collect::<Vec<_>>().join(" ")
    }

    fn owners(&self, name: &str) -> Vec<String> {
        let key = format!("default/{name}");
        let document = self.state.get(self.maps, &key).unwrap().document();
        let owners = document["metadata"]["ownerReferences"].as_array();
        let names = owners
            .into_iter()
            .flatten()
            .map(|owner| owner["name"].as_str().unwrap());
        names.map(str::to_owned).collect()
    }
}

#[test]
fn in_the_background_dependents_follow_their_owner_all_the_way_down() {
    let mut bench = bench();
    bench.create("a", &[]);
    bench.create("b", &["a"]);
    bench.create("c", &["b"]);
    bench.create("d", &[]);
    assert_eq!(bench.settle(), "a b c d", "all owners are there");
    bench.delete("a", None);
    assert_eq!(bench.names(), "b c d", "not before the collection");
    assert_eq!(bench.settle(), "d");
    assert!(!bench.state.has_work());
}

#[test]
fn an_object_with_another_owner_stays_and_forgets_the_one_that_went() {
    let mut bench = bench();
    bench.create("a", &[]);
    bench.create("b", &[]);
    bench.create("c", &["a", "b"]);
    bench.delete("a", None);
    assert_eq!(bench.settle(), "b c");
    assert_eq!(bench.owners("c"), ["b"]);
    bench.delete("b", None);
    assert_eq!(bench.settle(), "");
}

#[test]
fn an_owner_that_never_was_or_was_another_takes_the_object_with_it() {
    let mut bench = bench();
    bench.create("a", &["absent"]);
    assert_eq!(bench.settle(), "");
    bench.create("o", &[]);
    let stale = bench.reference("o");
    bench.delete("o", None);
    bench.create("o", &[]);
    let document = json!({ "metadata": { "name": "d", "ownerReferences": [stale] } });
    let (state, maps) = (&mut bench.state, bench.maps);
    state
        .create_with(maps, Some("default"), document, &strict())
        .unwrap();
    assert_eq!(bench.settle(), "o", "the uid is another one");
}

#[test]
fn an_owner_of_an_unknown_kind_counts_as_there() {
    let mut bench = bench();
    let owner = json!({ "apiVersion": "x/v1", "kind": "Odd", "name": "o", "uid": "u" });
    let document = json!({ "metadata": { "name": "d", "ownerReferences": [owner] } });
    let (state, maps) = (&mut bench.state, bench.maps);
    state
        .create_with(maps, Some("default"), document, &strict())
        .unwrap();
    assert_eq!(bench.settle(), "d");
}

#[test]
fn objects_laid_down_without_admission_only_follow_an_owner_that_is_deleted() {
    let mut bench = bench();
    bench.create("a", &[]);
    let owners = json!([bench.reference("a")]);
    for (name, owners) in [("b", owners), ("c", json!([bench.reference("none")]))] {
        let document = json!({ "metadata": { "name": name, "ownerReferences": owners } });
        let maps = bench.maps;
        bench
            .state
            .create(maps, Some("default"), document, NOW)
            .unwrap();
    }
    assert_eq!(bench.settle(), "a b c");
    bench.delete("a", None);
    assert_eq!(bench.settle(), "c");
}

#[test]
fn orphans_stay_and_forget_their_owner() {
    let mut bench = bench();
    bench.create("a", &[]);
    bench.create("b", &["a"]);
    bench.create("c", &["b"]);
    bench.delete("a", Some(Propagation::Orphan));
    assert_eq!(
        bench.names(),
        "(a) b c",
        "it waits until they have forgotten it"
    );
    assert_eq!(bench.settle(), "b c");
    assert_eq!(bench.owners("b"), Vec::<String>::new());
    assert_eq!(bench.owners("c"), ["b"]);
}

#[test]
fn in_the_foreground_the_owner_waits_for_those_that_block_it() {
    let mut bench = bench();
    bench.create("a", &[]);
    bench.create("b", &["a!"]);
    bench.create("c", &["b!"]);
    bench.create("d", &["a"]);
    bench.patch("c", &json!({ "metadata": { "finalizers": ["x.io/a"] } }));
    assert_eq!(bench.settle(), "a b c d");
    bench.delete("a", Some(Propagation::Foreground));
    assert_eq!(bench.settle(), "(a) (b) (c) d", "c holds them all");
    bench.patch("c", &json!({ "metadata": { "finalizers": null } }));
    assert_eq!(bench.settle(), "", "d does not block, and follows");
}

#[test]
fn an_owner_that_waits_goes_when_its_dependent_leaves_it() {
    let mut bench = bench();
    bench.create("a", &[]);
    bench.create("b", &["a!"]);
    bench.patch("b", &json!({ "metadata": { "finalizers": ["x.io/a"] } }));
    bench.delete("a", Some(Propagation::Foreground));
    assert_eq!(bench.settle(), "(a) (b)");
    bench.patch("b", &json!({ "metadata": { "ownerReferences": null } }));
    assert_eq!(bench.settle(), "(b)");
}

#[test]
fn objects_that_block_each_other_do_not_wait_for_ever() {
    let mut bench = bench();
    bench.create("a", &[]);
    bench.create("b", &["a!"]);
    let owners = json!([bench.reference("b!")]);
    bench.patch("a", &json!({ "metadata": { "ownerReferences": owners } }));
    bench.delete("a", Some(Propagation::Foreground));
    assert_eq!(bench.settle(), "");
}

#[test]
fn pr_f9_after_a_restore_dependents_are_known_again() {
    let mut bench = bench();
    bench.create("a", &[]);
    bench.create("b", &["a"]);
    let checkpoint = bench.state.checkpoint();
    bench.delete("a", None);
    assert_eq!(bench.settle(), "");
    bench.state.restore(&checkpoint);
    assert_eq!(bench.settle(), "a b");
    bench.delete("a", None);
    assert_eq!(bench.settle(), "");
}

fn refused<T>(result: Result<T, Refusal>) -> (u16, String) {
    let refusal = result.err().unwrap();
    (refusal.code, refusal.message)
}

#[test]
fn namespaces_begin_active_and_end_with_their_content() {
    let mut bench = bench();
    let (maps, namespaces) = (bench.maps, bench.namespaces);
    let state = &mut bench.state;
    let map = |name: &str| json!({ "metadata": { "name": name, "finalizers": ["x.io/a"] } });
    let absent = state.create_with(maps, Some("n"), map("m"), &strict());
    assert_eq!(
        refused(absent),
        (404, "namespaces \"n\" not found".to_owned())
    );
    let namespace = json!({ "metadata": { "name": "n" } });
    let created = state.create_with(namespaces, None, namespace.clone(), &strict());
    let created = created.unwrap().object.document();
    assert_eq!(created["status"]["phase"], "Active");
    assert_eq!(
        created["metadata"]["labels"]["kubernetes.io/metadata.name"],
        "n"
    );
    for number in 0..250 {
        let name = format!("m{number}");
        let document = json!({ "metadata": { "name": name } });
        state
            .create_with(maps, Some("n"), document, &strict())
            .unwrap();
    }
    state
        .create_with(maps, Some("n"), map("held"), &strict())
        .unwrap();
    state
        .create_with(maps, Some("default"), map("other"), &strict())
        .unwrap();
    let options = DeleteOptions::default();
    let deleted = state.delete_with(namespaces, "n", &options, &strict());
    let deleted = deleted.unwrap().object.document();
    assert_eq!(deleted["status"]["phase"], "Terminating");
    let late = refused(state.create_with(maps, Some("n"), map("late"), &strict()));
    let expected = "configmaps \"late\" is forbidden: unable to create new content in namespace n \
                    because it is being terminated";
    assert_eq!(late, (403, expected.to_owned()));
    while state.collect(NOW) {}
    assert_eq!(state.len(maps), 2, "one is held by its finalizer");
    assert!(state.get(namespaces, "n").is_some());
    let free = br#"{"metadata":{"finalizers":null}}"#;
    state.patch(maps, "n/held", Patch::Merge, free).unwrap();
    while state.collect(NOW) {}
    assert!(state.get(namespaces, "n").is_none());
    assert_eq!(state.len(maps), 1, "other namespaces keep theirs");
    let again = state.create_with(namespaces, None, namespace, &strict());
    assert_eq!(
        again.unwrap().object.document()["status"]["phase"],
        "Active"
    );
}

#[test]
fn the_default_namespaces_are_there_and_stay() {
    let mut bench = bench();
    let namespaces = bench.namespaces;
    let keys = bench.state.objects(namespaces).keys();
    let keys: Vec<&str> = keys.map(|key| &**key).collect();
    let expected = ["default", "kube-node-lease", "kube-public", "kube-system"];
    assert_eq!(keys, expected);
    let options = DeleteOptions::default();
    let state = &mut bench.state;
    let refusal = refused(state.delete_with(namespaces, "default", &options, &strict()));
    let expected = "namespaces \"default\" is forbidden: this namespace may not be deleted";
    assert_eq!(refusal, (403, expected.to_owned()));
}

#[test]
fn more_than_a_step_can_hold_is_done_in_steps() {
    let mut bench = bench();
    bench.create("a", &[]);
    for number in 0..150 {
        bench.create(&format!("d{number}"), &["a"]);
    }
    bench.delete("a", Some(Propagation::Orphan));
    bench.settle();
    assert_eq!(bench.state.len(bench.maps), 150, "all have been orphaned");
    for number in 0..150 {
        let held = json!({ "metadata": { "finalizers": ["x.io/a"] } });
        bench.patch(&format!("d{number}"), &held);
    }
    let namespaces = bench.namespaces;
    let document = json!({ "metadata": { "name": "n" } });
    let state = &mut bench.state;
    state
        .create_with(namespaces, None, document, &strict())
        .unwrap();
    for number in 0..150 {
        let name = format!("h{number}");
        let document = json!({ "metadata": { "name": name, "finalizers": ["x.io/a"] } });
        state
            .create_with(bench.maps, Some("n"), document, &strict())
            .unwrap();
    }
    let options = DeleteOptions::default();
    state
        .delete_with(namespaces, "n", &options, &strict())
        .unwrap();
    while state.collect(NOW) {}
    let keys = state.objects(bench.maps).keys();
    let marked = keys.filter(|key| state.is_marked(bench.maps, key));
    assert_eq!(
        marked.count(),
        150,
        "all of the namespace, though none goes"
    );
}
