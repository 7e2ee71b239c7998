//! The short way of an update against the long one.

use super::*;
use crate::{seed::Seed, state::write::Admission};

fn pods() -> KindRow {
    let mut rows = crate::kind::built_in().into_iter();
    rows.find(|row| row.kind == "Pod").unwrap()
}

/// A pod of few fields, so that two writers often mean the same one.
fn pod(rng: &mut Seed) -> Value {
    let mut document = json!({ "kind": "Pod", "apiVersion": "v1", "metadata": { "name": "a" },
        "spec": { "containers": [] }, "status": { "phase": "Pending" } });
    for label in ["x", "y"] {
        // Missing now and then.
        if let value @ 0..3 = rng.below(4) {
            document["metadata"]["labels"][label] = value.to_string().into();
        }
    }
    for container in ["one", "two"] {
        let image @ 0..3 = rng.below(4) else { continue };
        let image = image.to_string();
        let containers = document["spec"]["containers"].as_array_mut().unwrap();
        containers.push(json!({ "name": container, "image": image }));
    }
    if rng.below(4) == 0 {
        document["metadata"]["finalizers"] = json!(["f"]);
    }
    document
}

#[test]
fn an_update_that_moves_no_field_is_noted_as_if_all_sets_had_been_read() {
    let row = pods();
    let (mut short, mut idle) = (0, 0);
    for seed in 0..200 {
        let mut rng = Seed::new(seed);
        let mut old: Option<Value> = None;
        for now in 0..20 {
            let mut new = match &old {
                Some(old) if rng.below(3) == 0 => old.clone(),
                _ => pod(&mut rng),
            };
            let mut containers = new["spec"]["containers"].as_array_mut().unwrap().iter_mut();
            if let Some(container) = containers.next().filter(|_| rng.below(2) == 0) {
                container["image"] = rng.below(3).to_string().into();
            }
            let terms = Terms {
                admission: Admission::Strict,
                manager: ["a", "b"][usize::from(rng.below(2) == 0)],
                ..Terms::open(now)
            };
            if let Some(old) = &old {
                let change = compare(&row, old, &new);
                let own = manager(&row, &terms, false);
                let before = old["metadata"]["managedFields"].as_array();
                let before = before.map(Vec::as_slice).unwrap_or_default();
                if let Some(after) = unmoved::entries(before, &own, &change) {
                    short += 1;
                    idle += i32::from(change.is_idle());
                    let mut long = new.clone();
                    move_fields(Managers::of(old), own, change).write(&mut long);
                    let long = &long["metadata"]["managedFields"];
                    assert_eq!(*long, Value::from(after), "seed {seed}");
                }
            }
            note_update(&row, old.as_ref(), &mut new, &terms);
            // One that applies stands beside those that update, and owns what they may change.
            if now == 1 {
                let applied = json!({ "manager": "c", "operation": "Apply", "apiVersion": "v1",
                    "time": "1970-01-01T00:00:00Z", "fieldsType": "FieldsV1",
                    "fieldsV1": { "f:metadata": { "f:labels": { "f:x": {} } } } });
                // M2: a pod that says nothing has no owners, and gets none.
                if let Some(entries) = new["metadata"]["managedFields"].as_array_mut() {
                    entries.insert(0, applied);
                }
            }
            old = Some(new);
        }
    }
    assert!(
        short - idle > 100 && idle > 100,
        "{short} short, {idle} idle"
    );
}
