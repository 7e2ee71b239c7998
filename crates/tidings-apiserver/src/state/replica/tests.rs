//! R1 and R2, over random programs of writes.

use serde_json::json;

use super::*;
use crate::{
    seed::Seed,
    state::{ListQuery, WatchListSupport, WatchQuery, WatchStep},
};

fn widgets() -> serde_json::Value {
    json!({ "metadata": { "name": "widgets.example.com" }, "spec": {
        "group": "example.com", "scope": "Namespaced",
        "names": { "plural": "widgets", "kind": "Widget" },
        "conversion": { "strategy": "None" },
        "versions": [{ "name": "v1", "served": true, "storage": true,
            "schema": { "openAPIV3Schema": { "type": "object",
                "x-kubernetes-preserve-unknown-fields": true } } }]
    } })
}

/// The bodies of a list of each kind, which have the version.
fn shown(state: &State) -> Vec<String> {
    let all = [("", "pods"), ("example.com", "widgets")];
    all.iter()
        .map(
            |(group, plural)| match state.resource(group, "v1", plural) {
                None => String::new(),
                Some(resource) => {
                    let page = state.list(resource, &ListQuery::default()).unwrap();
                    let body: Vec<u8> = page.chunks(1 << 20).flatten().collect();
                    String::from_utf8(body).unwrap()
                }
            },
        )
        .collect()
}

fn write(state: &mut State, seed: &mut Seed) {
    let definitions = state
        .resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        .unwrap();
    match seed.below(8) {
        0 => {
            let strict = crate::state::Terms {
                admission: crate::state::Admission::Strict,
                ..crate::state::Terms::open(0)
            };
            let _ = state.create_with(definitions, None, widgets(), &strict);
        }
        1 => {
            let _ = state.delete(definitions, "widgets.example.com", 0);
            while state.collect(0) {}
        }
        2 | 3 if let Some(widgets) = state.resource("example.com", "v1", "widgets") => {
            let name = format!("w{}", seed.below(3));
            let document = json!({ "apiVersion": "example.com/v1", "kind": "Widget",
                "metadata": { "name": name }, "spec": { "n": seed.below(9) } });
            let key = format!("default/{name}");
            if state.update(widgets, &key, document.clone()).is_err() {
                let _ = state.create(widgets, Some("default"), document, 0);
            }
        }
        _ => {
            let pods = state.resource("", "v1", "pods").unwrap();
            let name = format!("p{}", seed.below(3));
            let key = format!("default/{name}");
            let document = json!({ "metadata": { "name": name }, "spec": { "n": seed.below(9) } });
            if seed.below(3) == 0 {
                let _ = state.delete(pods, &key, 0);
            } else if state.update(pods, &key, document.clone()).is_err() {
                let _ = state.create(pods, Some("default"), document, 0);
            }
        }
    }
}

#[test]
fn pr_f1_a_replica_is_what_its_leader_was_at_that_version() {
    for seed in 0..40 {
        let mut seed = Seed::new(seed);
        let mut leader = State::new(1);
        let mut replica = leader.replica(1000);
        let mut at = std::collections::BTreeMap::from([(1, shown(&leader))]);
        for _ in 0..60 {
            write(&mut leader, &mut seed);
            at.insert(leader.resource_version(), shown(&leader));
        }
        // A step of a cascade is no state that anybody compared.
        for rv in at.keys() {
            assert!(replica.follow(&leader, *rv));
            assert_eq!(replica.resource_version(), *rv);
            assert_eq!(shown(&replica), at[rv], "at {rv}");
        }
    }
}

#[test]
fn pr_e12_a_replica_with_a_small_ring_says_410_where_its_leader_does_not() {
    let mut leader = State::new(1);
    let mut replica = leader.replica(2);
    let mut seed = Seed::new(3);
    while leader.resource_version() < 10 {
        write(&mut leader, &mut seed);
    }
    let last = leader.resource_version();
    replica.follow(&leader, last);
    let pods = leader.resource("", "v1", "pods").unwrap();
    let query = WatchQuery {
        list: ListQuery {
            resource_version: "2".to_owned(),
            ..ListQuery::default()
        },
        ..WatchQuery::default()
    };
    let says = |state: &State| {
        let mut out = Vec::new();
        let mut watch = state.watch(pods, &query, WatchListSupport::On).unwrap();
        let step = watch.step(state, 1 << 20, &mut out);
        (step, String::from_utf8(out).unwrap().contains("Expired"))
    };
    assert_eq!(says(&leader), (WatchStep::Level, false));
    assert_eq!(says(&replica), (WatchStep::Ended, true));
}

#[test]
fn pr_w12_a_replica_that_was_left_behind_a_compaction_begins_anew() {
    let mut leader = State::new(1);
    let mut replica = leader.replica(100);
    let mut seed = Seed::new(4);
    while leader.resource_version() < 10 {
        write(&mut leader, &mut seed);
    }
    leader.compact();
    let last = leader.resource_version();
    assert!(!replica.follow(&leader, last));
    assert_eq!(shown(&replica), shown(&leader));
    assert_eq!(replica.changed_since(0).count(), 0);
}
