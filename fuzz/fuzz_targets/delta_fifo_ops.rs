//! A DeltaFIFO hands out what a list of lists does, in both orders.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tidings_api::{Object, ResourceVersion};
use tidings_engine::{
    delta::{Delta, Replaced},
    delta_fifo::{DeltaFifo, Order},
    entry::{Entry, Value},
};

#[derive(Arbitrary, Debug)]
struct Program {
    per_key: bool,
    depth_max: u8,
    /// Few hash bits make keys collide.
    collides: bool,
    ops: Vec<Op>,
}

#[derive(Arbitrary, Debug)]
enum Op {
    Added(u8),
    Updated(u8),
    Deleted(u8),
    Begin,
    Item(u8),
    End,
    Abort,
    Sync,
    Bookmark,
    Pop(u8),
}

/// What waits: slots of deltas, each with its key if it may be added to.
#[derive(Default)]
struct Model {
    slots: Vec<(Option<u8>, Vec<String>)>,
}

impl Model {
    fn depth(&self) -> usize {
        self.slots.iter().map(|(_, lines)| lines.len()).sum()
    }

    fn push(&mut self, per_key: bool, op: &Op, line: String) {
        let key = match op {
            Op::Added(key) | Op::Updated(key) | Op::Deleted(key) if per_key => Some(key % 8),
            _ => None,
        };
        if let Some(key) = key
            && let Some((_, lines)) = self.slots.iter_mut().find(|(own, _)| *own == Some(key))
        {
            let is_again = matches!(op, Op::Deleted(_))
                && lines.last().is_some_and(|last| last.starts_with("deleted"));
            if !is_again {
                lines.push(line);
            }
            return;
        }
        if !matches!(
            op,
            Op::Added(_) | Op::Updated(_) | Op::Deleted(_) | Op::Bookmark
        ) {
            // A relist or a resync stands between what came before it and what comes after.
            self.slots.iter_mut().for_each(|(key, _)| *key = None);
        }
        self.slots.push((key, vec![line]));
    }

    fn pop(&mut self, len_max: usize) -> Vec<String> {
        let mut popped = Vec::new();
        while popped.len() < len_max && !self.slots.is_empty() {
            popped.extend(self.slots.remove(0).1);
        }
        popped
    }
}

fn delta(op: &Op, version: u64, collides: bool) -> Option<Delta<()>> {
    let entry = |key: &u8| {
        let key = key % 8;
        let object = Object::bare("default", &format!("o{key}"), "uid", &version.to_string());
        let hash = if collides {
            1
        } else {
            u64::from(key) << 57 | 7
        };
        Entry::new(hash, object, Value::Decoded(()))
    };
    Some(match op {
        Op::Added(key) => Delta::Added(entry(key)),
        Op::Updated(key) => Delta::Updated(entry(key)),
        Op::Deleted(key) => Delta::Deleted(entry(key)),
        Op::Begin => Delta::Replaced(Replaced::Begin { force_diff: false }),
        Op::Item(key) => Delta::Replaced(Replaced::Item(entry(key))),
        Op::End => Delta::Replaced(Replaced::End {
            resource_version: ResourceVersion::from_revision(version),
            epoch: 0,
            sweep: true,
        }),
        Op::Abort => Delta::Replaced(Replaced::Abort),
        Op::Sync => Delta::Sync,
        Op::Bookmark => Delta::Bookmark(ResourceVersion::from_revision(version)),
        Op::Pop(_) => return None,
    })
}

fuzz_target!(|program: Program| {
    let order = if program.per_key {
        Order::PerKey
    } else {
        Order::Arrival
    };
    let depth_max = usize::from(program.depth_max);
    let mut fifo = DeltaFifo::new(order, depth_max);
    let mut model = Model::default();
    for (version, op) in (1..).zip(&program.ops) {
        match delta(op, version, program.collides) {
            Some(delta) => {
                let line = delta.to_string();
                let was_full = model.depth() >= depth_max.max(1);
                assert_eq!(fifo.is_full(), was_full);
                match fifo.push(delta) {
                    Ok(()) => model.push(program.per_key, op, line),
                    Err(full) => assert!(was_full && full.0.to_string() == line),
                }
            }
            None => {
                let Op::Pop(count) = op else { continue };
                let mut out = Vec::new();
                let popped = fifo.pop_batch(usize::from(*count), &mut out);
                let lines: Vec<_> = out.iter().map(ToString::to_string).collect();
                assert_eq!(lines, model.pop(usize::from(*count)));
                assert_eq!(popped, lines.len());
            }
        }
        assert_eq!(fifo.depth(), model.depth());
        fifo.check_invariants();
    }
});
