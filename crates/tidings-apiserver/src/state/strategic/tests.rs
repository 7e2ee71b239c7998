//! Patches of a pod as lines: what there is, what comes, what there is then.

use serde_json::{Value, json};

use super::*;
use crate::{State, state::shape::Shape};

fn patched(group: &str, plural: &str, was: Value, change: Value) -> Result<Value, Refusal> {
    let state = State::new(1);
    let resource = state.resource(group, "v1", plural).unwrap();
    let Value::Object(mut target) = was else {
        panic!("an object");
    };
    let change = change.as_object().unwrap();
    patch(Shape::of(state.kind(resource)), &mut target, change)?;
    Ok(Value::Object(target))
}

fn pod(was: Value, change: Value) -> Value {
    patched("", "pods", was, change).unwrap()
}

#[test]
fn pr_n9_lists_merge_by_key_and_others_are_replaced() {
    let was = json!({ "spec": {
        "containers": [{ "name": "a", "image": "i", "args": ["1"] }, { "name": "b" }],
        "tolerations": [{ "key": "x" }]
    } });
    let change = json!({ "spec": {
        "containers": [{ "name": "a", "image": "j", "args": ["2", "3"] }, { "name": "c" }],
        "tolerations": [{ "key": "y" }], "$setElementOrder/containers": [{ "name": "c" }]
    } });
    assert_eq!(
        pod(was, change),
        json!({ "spec": {
            "containers": [
                { "name": "c" }, { "name": "a", "image": "j", "args": ["2", "3"] }, { "name": "b" }
            ],
            "tolerations": [{ "key": "y" }]
        } })
    );
}

#[test]
fn pr_n9_items_are_deleted_and_lists_replaced_by_directive() {
    let was = json!({ "spec": { "containers": [{ "name": "a" }, { "name": "b" }] } });
    let gone = json!({ "spec": { "containers": [{ "name": "a", "$patch": "delete" }] } });
    assert_eq!(
        pod(was.clone(), gone),
        json!({ "spec": { "containers": [{ "name": "b" }] } })
    );
    let fresh = json!({ "spec": { "containers": [{ "$patch": "replace" }, { "name": "c" }] } });
    assert_eq!(
        pod(was, fresh),
        json!({ "spec": { "containers": [{ "name": "c" }] } })
    );
}

#[test]
fn pr_n9_maps_are_replaced_deleted_and_cleared() {
    let was = json!({ "metadata": { "labels": { "a": "b", "c": "d" } } });
    let labels = |labels: Value| json!({ "metadata": { "labels": labels } });
    let replaced = pod(
        was.clone(),
        labels(json!({ "$patch": "replace", "e": "f" })),
    );
    assert_eq!(replaced, labels(json!({ "e": "f" })));
    let deleted = pod(was.clone(), labels(json!({ "$patch": "delete" })));
    assert_eq!(deleted, json!({ "metadata": {} }));
    let cleared = pod(was.clone(), labels(json!({ "a": null, "g": "h" })));
    assert_eq!(cleared, labels(json!({ "c": "d", "g": "h" })));
    let kept = pod(was, labels(json!({ "$retainKeys": ["c"], "x": "y" })));
    assert_eq!(kept, labels(json!({ "c": "d", "x": "y" })));
}

#[test]
fn pr_n9_primitive_lists_are_sets() {
    let was = json!({ "metadata": { "finalizers": ["a", "b"] } });
    let more = pod(
        was.clone(),
        json!({ "metadata": { "finalizers": ["b", "c"] } }),
    );
    assert_eq!(more["metadata"]["finalizers"], json!(["a", "b", "c"]));
    let order = json!({ "metadata": { "$setElementOrder/finalizers": ["b", "a"] } });
    assert_eq!(
        pod(was.clone(), order)["metadata"]["finalizers"],
        json!(["b", "a"])
    );
    let less = json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": ["a"] } });
    assert_eq!(pod(was, less)["metadata"]["finalizers"], json!(["b"]));
}

#[test]
fn pr_n9_some_lists_have_a_key_for_patches_alone() {
    let was = json!({ "spec": { "taints": [{ "key": "a", "effect": "x" }] } });
    let change = json!({ "spec": { "taints": [{ "key": "b", "effect": "y" }] } });
    let node = patched("", "nodes", was, change).unwrap();
    assert_eq!(node["spec"]["taints"].as_array().unwrap().len(), 2);
    let was = json!({ "spec": { "ports": [{ "port": 80, "protocol": "TCP", "name": "a" }] } });
    let change = json!({ "spec": { "ports": [{ "port": 80, "name": "b" }] } });
    let service = patched("", "services", was, change).unwrap();
    assert_eq!(
        service["spec"]["ports"],
        json!([{ "port": 80, "protocol": "TCP", "name": "b" }])
    );
}

#[test]
fn pr_n9_what_cannot_be_merged_is_refused() {
    let refused = |change: Value| {
        let was = json!({ "spec": { "containers": [{ "name": "a" }] } });
        let refusal = patched("", "pods", was, change).unwrap_err();
        (refusal.code, refusal.message)
    };
    let keyless = json!({ "spec": { "containers": [{ "image": "j" }] } });
    let expected = "map: map[image:j] does not contain declared merge key: name";
    assert_eq!(refused(keyless), (500, expected.to_owned()));
    let odd = json!({ "metadata": { "$patch": "odd" } });
    let expected = "unknown patch type: odd in map: map[$patch:odd]";
    assert_eq!(refused(odd), (500, expected.to_owned()));
}

#[test]
fn pr_n9_items_stand_as_the_patch_has_them_and_the_others_as_before() {
    let list = |text: &str| {
        let items = text.chars().map(|name| json!({ "name": name.to_string() }));
        items.collect::<Vec<Value>>()
    };
    let of = |pod: &Value| {
        let items = pod["spec"]["containers"].as_array().unwrap().iter();
        items
            .map(|it| it["name"].as_str().unwrap())
            .collect::<String>()
    };
    for (was, change, expected) in [
        ("a", "b", "ba"),
        ("ab", "b", "ab"),
        ("ab", "cb", "cab"),
        ("abc", "ca", "bca"),
        ("abcd", "db", "acdb"),
    ] {
        let was = json!({ "spec": { "containers": list(was) } });
        let change = json!({ "spec": { "containers": list(change) } });
        assert_eq!(of(&pod(was, change.clone())), expected, "{change}");
    }
}
