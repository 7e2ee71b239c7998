//! An indexer has what a `BTreeMap` has, program by program, and snapshots stay what they were.

#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use tidings_api::{Object, ResourceVersion};
use tidings_engine::{
    entry::{Entry, Value},
    indexer::{IndexFn, Indexer, IndexerConfig, Retained, Seen, Snapshot, Sweep},
};

use self::world::{Op, World};

#[path = "../../crates/tidings-engine/src/indexer/tests/world.rs"]
mod world;

/// Longer programs find nothing that shorter ones do not.
const STEPS_MAX: usize = 80;

#[derive(Debug)]
struct Program {
    hash_bits: u32,
    ops: Vec<Op>,
}

impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let hash_bits = if input.arbitrary()? { 64 } else { 4 };
        let mut ops = Vec::new();
        while !input.is_empty() && ops.len() < STEPS_MAX {
            ops.push(op(input)?);
        }
        Ok(Self { hash_bits, ops })
    }
}

fn op(input: &mut Unstructured<'_>) -> Result<Op> {
    let key = |input: &mut Unstructured<'_>| input.int_in_range(0..=59u8);
    let keys = |input: &mut Unstructured<'_>| {
        let len = input.int_in_range(0..=40)?;
        (0..len).map(|_| key(input)).collect::<Result<Vec<u8>>>()
    };
    Ok(match input.int_in_range(0..=15u8)? {
        0..5 => Op::Upsert(key(input)?, input.arbitrary()?),
        5..7 => Op::Remove(key(input)?),
        7 | 8 => Op::Relist {
            listed: keys(input)?,
            changed: keys(input)?,
            ends: input.arbitrary()?,
            sweep: input.arbitrary()?,
        },
        9..12 => Op::Publish,
        12 => Op::Snapshot,
        13 => Op::DropSnapshot,
        14 => Op::Reclaim(input.int_in_range(0..=50)?),
        _ => Op::AddIndex,
    })
}

fuzz_target!(|program: Program| {
    let mut world = World::new(program.hash_bits);
    for op in &program.ops {
        world.apply(op);
        world.check();
    }
    world.snapshots.clear();
    world.apply(&Op::Publish);
    while world.indexer.reclaim(64) > 0 {}
    assert_eq!(world.indexer.retained(), Retained::default());
});

// What the model finds beside itself.

fn by_parts() -> IndexFn<String> {
    Box::new(|entry, emit| {
        if let Some(payload) = entry.effective() {
            payload
                .split(',')
                .filter(|part| !part.is_empty())
                .for_each(emit);
        }
    })
}

fn entry(indexer: &Indexer<String>, key: &str, version: u64, payload: &str) -> Entry<String> {
    let object = Object::bare("default", key, "uid", &version.to_string());
    let hash = indexer.hash_key(object.key_bytes());
    Entry::new(hash, object, Value::Decoded(payload.to_owned()))
}

fn rv(revision: u64) -> Option<ResourceVersion> {
    Some(ResourceVersion::from_revision(revision))
}

fn list(snapshot: &Snapshot<String>) -> String {
    let mut lines: Vec<_> = snapshot.iter().map(line).collect();
    lines.sort_unstable();
    lines.join(" ")
}

fn under(snapshot: &Snapshot<String>, value: &str) -> String {
    let found = snapshot
        .by_index("node", value)
        .expect("the index is there");
    let mut lines: Vec<_> = found.map(line).collect();
    lines.sort_unstable();
    lines.join(" ")
}

fn line(entry: &Entry<String>) -> String {
    let payload = entry.effective().map_or("", String::as_str);
    let (name, version) = (entry.object.name(), entry.object.resource_version_text());
    format!("{name}@{version}={payload}")
}
