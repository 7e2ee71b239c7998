//! No writes make the API server's state panic, and each one keeps what a stored object promises.

#![no_main]

use std::sync::Arc;

use arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use tidings_apiserver::{
    State,
    state::{Admission, DeleteOptions, FieldValidation, Part, Patch, Stored, Terms},
};

/// Few enough that patches meet what earlier ones made.
const KEYS: [&str; 36] = [
    "metadata",
    "spec",
    "status",
    "name",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "uid",
    "resourceVersion",
    "managedFields",
    "generation",
    "data",
    "containers",
    "image",
    "ports",
    "containerPort",
    "protocol",
    "env",
    "value",
    "template",
    "selector",
    "replicas",
    "type",
    "clusterIP",
    "conditions",
    "$patch",
    "$retainKeys",
    "$setElementOrder/containers",
    "$deleteFromPrimitiveList/finalizers",
    "apiVersion",
    "kind",
    "op",
    "path",
    "a",
];
const TEXTS: [&str; 22] = [
    "",
    "o0",
    "o1",
    "a",
    "b",
    "default",
    "delete",
    "replace",
    "merge",
    "add",
    "remove",
    "test",
    "copy",
    "move",
    "from",
    "v1",
    "Pod",
    "ConfigMap",
    "TCP",
    "/spec/containers/0",
    "/data/a",
    "/-",
];
const KINDS: [(&str, &str, &str); 4] = [
    ("", "v1", "configmaps"),
    ("", "v1", "pods"),
    ("", "v1", "services"),
    ("apps", "v1", "deployments"),
];
const STEPS_MAX: usize = 24;

#[derive(Debug)]
struct Program(Vec<Step>);

#[derive(Debug)]
struct Step {
    kind: usize,
    name: &'static str,
    what: What,
    document: Value,
    part: Part,
    manager: &'static str,
    force: bool,
    dry_run: bool,
    fields: FieldValidation,
}

#[derive(Debug)]
enum What {
    Create,
    Delete,
    Patch(Patch),
    /// A patch whose body is not even JSON.
    Raw(Patch, Vec<u8>),
    Update,
}

impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let mut steps = Vec::new();
        while !input.is_empty() && steps.len() < STEPS_MAX {
            steps.push(step(input)?);
        }
        Ok(Self(steps))
    }
}

fn step(input: &mut Unstructured<'_>) -> Result<Step> {
    let kind = input.choose_index(KINDS.len())?;
    let name = *input.choose(&["o0", "o1"])?;
    let patch = *input.choose(&[Patch::Apply, Patch::Json, Patch::Merge, Patch::Strategic])?;
    let what = match input.int_in_range(0..=9u8)? {
        0 | 1 => What::Create,
        2 => What::Update,
        3 => What::Delete,
        4 => What::Raw(patch, input.arbitrary()?),
        _ => What::Patch(patch),
    };
    let document = match (&what, patch) {
        (What::Patch(_), Patch::Json) => json_patch(input)?,
        _ => document(input, kind, name)?,
    };
    Ok(Step {
        kind,
        name,
        what,
        document,
        part: *input.choose(&[Part::Main, Part::Status, Part::Whole])?,
        manager: *input.choose(&["one", "two", "three"])?,
        force: input.arbitrary()?,
        dry_run: input.ratio(1, 8)?,
        fields: *input.choose(&[
            FieldValidation::Ignore,
            FieldValidation::Strict,
            FieldValidation::Warn,
        ])?,
    })
}

/// An object that is nearly one of its kind.
fn document(input: &mut Unstructured<'_>, kind: usize, name: &str) -> Result<Value> {
    let mut document = value(input, 5)?;
    if input.ratio(9, 10)? && document.is_object() {
        let (_, _, plural) = KINDS[kind];
        let kind_name = match plural {
            "configmaps" => "ConfigMap",
            "pods" => "Pod",
            "services" => "Service",
            _ => "Deployment",
        };
        document["apiVersion"] = if plural == "deployments" {
            "apps/v1"
        } else {
            "v1"
        }
        .into();
        document["kind"] = kind_name.into();
        if !document["metadata"].is_object() {
            document["metadata"] = json!({});
        }
        document["metadata"]["name"] = name.into();
    }
    Ok(document)
}

fn json_patch(input: &mut Unstructured<'_>) -> Result<Value> {
    let mut steps = Vec::new();
    for _ in 0..input.int_in_range(0..=4)? {
        let mut path = String::new();
        for _ in 0..input.int_in_range(0..=4)? {
            path.push('/');
            path.push_str(input.choose(&[
                "0",
                "1",
                "-",
                "metadata",
                "labels",
                "data",
                "spec",
                "containers",
                "a",
                "name",
                "~1",
            ])?);
        }
        let op = *input.choose(&["add", "remove", "replace", "move", "copy", "test"])?;
        let from = *input.choose(&["/metadata", "/data", "/spec/containers", ""])?;
        let value = value(input, 2)?;
        steps.push(json!({ "op": op, "path": path, "from": from, "value": value }));
    }
    Ok(Value::Array(steps))
}

fn value(input: &mut Unstructured<'_>, depth: u32) -> Result<Value> {
    let kinds = if depth == 0 { 3 } else { 7 };
    Ok(match input.int_in_range(0..=kinds)? {
        0 => Value::Null,
        1 => (*input.choose(&TEXTS)?).into(),
        2 => Value::from(input.int_in_range(-2..=90i64)?),
        3 => Value::from(input.arbitrary::<bool>()?),
        4 => {
            let len = input.int_in_range(0..=3)?;
            let items = (0..len).map(|_| value(input, depth - 1));
            Value::Array(items.collect::<Result<_>>()?)
        }
        _ => {
            let mut map = Map::new();
            for _ in 0..input.int_in_range(0..=4)? {
                let key = *input.choose(&KEYS)?;
                map.insert(key.to_owned(), value(input, depth - 1)?);
            }
            Value::Object(map)
        }
    })
}

/// What holds of every object that is stored.
fn check(state: &State, stored: &Stored, key: &str) {
    let text = stored.to_json();
    let document: Value = serde_json::from_slice(&text).expect("a stored object is JSON");
    let metadata = &document["metadata"];
    assert_eq!(stored.key(), key);
    assert_eq!(
        metadata["name"],
        key.rsplit('/').next().unwrap_or(key),
        "{document}"
    );
    let version = stored.resource_version().to_string();
    assert_eq!(metadata["resourceVersion"], version.as_str());
    assert!(stored.resource_version() <= state.resource_version());
    assert!(!stored.uid().is_empty() && metadata["uid"] == stored.uid());
}

/// What holds of the managers of an object that only clients have written.
fn check_managers(stored: &Stored) {
    let document = stored.document();
    let managers = &document["metadata"]["managedFields"];
    let Some(managers) = managers.as_array() else {
        assert!(managers.is_null(), "{document}");
        return;
    };
    for manager in managers {
        assert!(
            matches!(manager["operation"].as_str(), Some("Apply" | "Update")),
            "{manager}"
        );
        assert!(manager["fieldsV1"].is_object(), "{manager}");
        assert!(manager["manager"].is_string(), "{manager}");
    }
    let id = |it: &Value| {
        format!(
            "{} {} {}",
            it["manager"], it["operation"], it["subresource"]
        )
    };
    let mut ids: Vec<_> = managers.iter().map(id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(
        ids.len(),
        managers.len(),
        "a manager stands twice: {document}"
    );
}

fuzz_target!(|program: Program| {
    let mut state = State::new(1);
    for step in &program.0 {
        let (group, version, plural) = KINDS[step.kind];
        let resource = state
            .resource(group, version, plural)
            .expect("a kind of the table");
        let key = format!("default/{}", step.name);
        let terms = Terms {
            admission: Admission::Strict,
            manager: step.manager,
            subresource: if step.part == Part::Status {
                "status"
            } else {
                ""
            },
            force: step.force,
            dry_run: step.dry_run,
            fields: step.fields,
            duplicates: &[],
            now: 1_700_000_000,
        };
        let (rv, before) = (state.resource_version(), state.get(resource, &key).cloned());
        let body = serde_json::to_vec(&step.document).expect("a value is JSON");
        let outcome = match &step.what {
            What::Create => {
                state.create_with(resource, Some("default"), step.document.clone(), &terms)
            }
            What::Update => {
                state.update_with(resource, &key, step.document.clone(), step.part, &terms)
            }
            What::Delete => state.delete_with(resource, &key, &DeleteOptions::default(), &terms),
            What::Patch(patch) => {
                state.patch_with(resource, &key, *patch, &body, step.part, &terms)
            }
            What::Raw(patch, body) => {
                state.patch_with(resource, &key, *patch, body, step.part, &terms)
            }
        };
        let after = state.get(resource, &key).cloned();
        let is_same = match (&before, &after) {
            (Some(before), Some(after)) => Arc::ptr_eq(before, after),
            (None, None) => true,
            _ => false,
        };
        if step.dry_run || outcome.is_err() {
            assert!(is_same && state.resource_version() == rv, "W1: {step:?}");
            continue;
        }
        if !is_same || !matches!(step.what, What::Create) {
            // W2: a version is taken exactly by what changes something.
            assert_eq!(state.resource_version() > rv, !is_same, "W2: {step:?}");
        }
        if let Some(after) = &after {
            check(&state, after, &key);
            check_managers(after);
        }
    }
});
