//! The queue of changes and who is told what, without a pipeline around it.

use std::sync::{Arc, Mutex};

use tidings_api::Object;

use super::*;
use crate::{
    entry::{Entry, Poison, Value},
    indexer::{Indexer, IndexerConfig},
};

const NOW: Instant = Instant::ZERO;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap()).join(" ")
    }

    fn add_to(&self, fanout: &mut Fanout<u8>, store: &Snapshot<u8>) -> HandlerId {
        let log = self.clone();
        let handler = move |event: Event<'_, u8>| log.0.lock().unwrap().push(say(&event));
        fanout.add(NOW, Box::new(handler), HandlerOptions::default(), store)
    }
}

fn say(event: &Event<'_, u8>) -> String {
    let object = &event.entry().object;
    match event {
        Event::Added {
            is_in_initial_list: true,
            ..
        } => format!("+{object:?}!"),
        Event::Added { .. } => format!("+{object:?}"),
        Event::Updated { .. } => format!("~{object:?}"),
        Event::Deleted {
            is_final_state_known: true,
            ..
        } => format!("-{object:?}!"),
        Event::Deleted { .. } => format!("-{object:?}"),
        Event::Poisoned { .. } => format!("?{object:?}"),
    }
}

/// `a@1`, `a@1/uid`, with a trailing `?` undecodable.
fn entry(text: &str) -> Entry<u8> {
    let (text, is_poisoned) = text
        .strip_suffix('?')
        .map_or((text, false), |text| (text, true));
    let (key, rest) = text.split_once('@').unwrap();
    let (version, uid) = rest.split_once('/').unwrap_or((rest, key));
    let value = if is_poisoned {
        Value::Poisoned(Arc::new(Poison::new("bad".to_owned(), None)))
    } else {
        Value::Decoded(1)
    };
    Entry::new(0, Object::bare("", key, uid, version), value)
}

fn added(text: &str) -> Change<u8> {
    Change::Added(entry(text))
}

fn updated(old: &str, new: &str) -> Change<u8> {
    Change::stored(Some(entry(old)), entry(new))
}

fn removed(old: &str, last: Option<&str>) -> Change<u8> {
    let (old, last) = (entry(old), last.map(entry));
    Change::Removed { old, last }
}

fn push(fanout: &mut Fanout<u8>, changes: impl IntoIterator<Item = Change<u8>>) {
    let mut changes = changes.into_iter().collect();
    fanout.push(&mut changes);
    assert!(changes.is_empty(), "they were handed over");
}

fn fanout() -> (Fanout<u8>, Log) {
    let (mut fanout, log) = (Fanout::new(FanoutLimits::default()), Log::default());
    log.add_to(&mut fanout, &Snapshot::empty());
    (fanout, log)
}

#[test]
fn inv_s6_each_change_is_told_as_the_events_that_it_is() {
    let cases = [
        (added("a@1"), "+a@1!"),
        (added("a@1?"), "?a@1"),
        (updated("a@1", "a@2"), "~a@2"),
        (updated("a@1", "a@2/other"), "-a@1 +a@2!"),
        (updated("a@1", "a@2/other?"), "-a@1 ?a@2"),
        (updated("a@1", "a@2?"), "?a@2"),
        (updated("a@1?", "a@2"), "+a@2!"),
        (updated("a@1?", "a@2?"), "?a@2"),
        (removed("a@1", Some("a@2")), "-a@2!"),
        (removed("a@1", None), "-a@1"),
        (removed("a@1", Some("a@2?")), "-a@1"),
        (removed("a@1?", Some("a@2")), ""),
    ];
    for (change, expected) in cases {
        let (mut fanout, log) = fanout();
        let shown = format!("{change:?}");
        push(&mut fanout, [change]);
        fanout.tell_live(NOW, 10);
        assert_eq!(log.take(), expected, "{shown}");
    }
}

#[test]
fn a_budget_cuts_batches_anywhere_and_nothing_is_told_twice() {
    for budget in 1..6 {
        let (mut fanout, log) = fanout();
        push(&mut fanout, [added("a@1"), added("b@2"), added("c@3")]);
        fanout.push_synced();
        push(&mut fanout, [added("d@4")]);
        push(&mut fanout, []);
        assert_eq!((fanout.backlog(), fanout.changes()), (4, 4));
        let mut told = Vec::new();
        while fanout.has_work(NOW) {
            fanout.tell_live(NOW, budget);
            told.push(log.take());
        }
        assert_eq!(
            told.join(" ").trim_end(),
            "+a@1! +b@2! +c@3! +d@4",
            "{budget}"
        );
        assert_eq!(fanout.backlog(), 0);
        assert!(fanout.handlers().all(|status| status.synced));
    }
}

#[test]
fn cg_i7_a_handler_is_synced_after_the_initial_state_was_told_and_not_before() {
    let (mut fanout, _log) = fanout();
    push(&mut fanout, [added("a@1"), added("b@2")]);
    fanout.push_synced();
    let synced = |fanout: &Fanout<u8>| fanout.handlers().all(|status| status.synced);
    assert_eq!(fanout.tell_live(NOW, 1), 0);
    assert!(!synced(&fanout));
    assert_eq!(fanout.tell_live(NOW, 2), 1);
    assert!(synced(&fanout));
}

#[test]
fn cg_i8_a_removal_drains_what_is_queued_or_drops_it() {
    for (removal, expected) in [(Removal::Drain, "+b@2! +c@3!"), (Removal::Drop, "")] {
        let (mut fanout, log) = fanout();
        let other = Log::default();
        let id = other.add_to(&mut fanout, &Snapshot::empty());
        push(&mut fanout, [added("a@1"), added("b@2")]);
        push(&mut fanout, [added("c@3")]);
        fanout.tell_live(NOW, 1);
        assert_eq!(other.take(), "+a@1!");
        assert!(fanout.remove(id, removal));
        assert_eq!(other.take(), expected);
        assert!(!fanout.remove(id, removal), "it is gone");
        fanout.tell_live(NOW, 10);
        assert_eq!(
            (other.take(), log.take()),
            (String::new(), "+a@1! +b@2! +c@3!".into())
        );
    }
}

#[test]
fn changes_that_nobody_waits_for_are_counted_and_not_kept() {
    let mut fanout = Fanout::new(FanoutLimits::default());
    push(&mut fanout, [added("a@1"), added("b@2")]);
    assert_eq!((fanout.backlog(), fanout.changes()), (0, 2));
    assert!(!fanout.has_work(NOW));
}

/// H2: the number of a change decides whether a late handler has it from its snapshot.
#[test]
fn cg_i2_a_late_handler_is_not_told_what_its_snapshot_had() {
    let mut indexer = Indexer::new(IndexerConfig::default());
    let mut store = |text: &str| {
        let mut entry = entry(text);
        entry.hash = indexer.hash_key(entry.object.key_bytes());
        indexer.upsert(entry);
        indexer.publish(None, 0);
        indexer.snapshot()
    };
    let (mut fanout, log) = fanout();
    store("a@1");
    let snapshot = store("b@2");
    push(&mut fanout, [added("a@1"), added("b@2")]);
    let late = Log::default();
    late.add_to(&mut fanout, &snapshot);
    fanout.tell_late(NOW, 10, &snapshot);
    push(&mut fanout, [added("c@3")]);
    fanout.tell_live(NOW, 10);
    assert_eq!(log.take(), "+a@1! +b@2! +c@3!");
    let told = late.take();
    let mut told: Vec<_> = told.split(' ').collect();
    told[..2].sort_unstable();
    assert_eq!(told, ["+a@1!", "+b@2!", "+c@3!"]);
}
