//! client-go's contract from the queue to the handlers, rule by rule, where no other file has it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use tidings_api::frame::EventKind;

use super::{support::*, *};
use crate::{
    entry::Entry,
    fanout::{Event, HandlerState},
};

const ORDERS: [Order; 2] = [Order::Arrival, Order::PerKey];

fn in_order(order: Order) -> PipelineConfig {
    PipelineConfig {
        order,
        ..PipelineConfig::default()
    }
}

#[test]
fn cg_f2_a_delete_is_dropped_if_neither_the_queue_nor_the_store_has_its_key() {
    for order in ORDERS {
        let (mut rig, log) = Rig::synced_with(in_order(order), &["a@1"], 5);
        log.take();
        rig.pipeline.hold(true);
        rig.added("queued@6");
        rig.deleted("queued@7");
        rig.deleted("unknown@8");
        rig.deleted("a@9");
        rig.pipeline.hold(false);
        rig.run();
        assert_eq!(
            log.take(),
            ["add queued@6", "delete queued@7", "delete a@9"],
            "{order:?}"
        );
        assert_eq!(rig.pipeline.dropped().unknown_delete, 1);
        assert_eq!(rig.seen(), " rv=9");
    }
}

/// Deltas that waited when the relist began are told before it, then its deletions, then the rest.
#[test]
fn cg_q2_a_relist_tells_its_deletions_first_whatever_waited() {
    for order in ORDERS {
        let (mut rig, log) = Rig::synced_with(in_order(order), &["a@1", "b@2", "c@3"], 5);
        log.take();
        rig.pipeline.hold(true);
        rig.modified("b@6");
        rig.added("d@7");
        rig.expire();
        rig.begin_list(&["e@8", "a@9", "c@3"]);
        rig.pipeline.handle(
            rig.now,
            Input::PageEnd {
                resource_version: Ok(ResourceVersion::from_revision(10)),
                continue_token: String::new(),
                remaining: None,
            },
        );
        rig.pipeline.hold(false);
        rig.run();
        let mut told = log.take();
        told[2..4].sort();
        assert_eq!(
            told,
            [
                "update b@2 -> b@6",
                "add d@7",
                "delete b@6 tombstone",
                "delete d@7 tombstone",
                "add e@8",
                "update a@1 -> a@9",
            ],
            "{order:?}"
        );
        assert_eq!(rig.seen(), "a@9 c@3 e@8 rv=10");
    }
}

/// What was queued when the informer stopped is still applied; nothing is asked for any more.
#[test]
fn cg_q9_a_stopped_queue_hands_out_what_it_has() {
    for order in ORDERS {
        let (mut rig, log) = Rig::synced_with(in_order(order), &["a@1"], 5);
        log.take();
        rig.pipeline.hold(true);
        rig.modified("a@6");
        rig.added("b@7");
        rig.pipeline.handle(rig.now, Input::Stop);
        assert_eq!(rig.pipeline.depth(), 2);
        rig.pipeline.hold(false);
        let mut outputs = Vec::new();
        while rig.pipeline.run(rig.now, 7) {}
        loop {
            match rig.pipeline.poll_output() {
                Output::Idle { .. } => break,
                output => outputs.push(output.to_string()),
            }
        }
        assert_eq!(outputs, ["close"], "{order:?}");
        assert_eq!(rig.seen(), "a@6 b@7 rv=7");
        assert_eq!(log.take(), ["update a@1 -> a@6", "add b@7"]);
        assert_eq!(rig.pipeline.depth(), 0);
    }
}

/// A stop drops what was not told yet: one more slice of work ends it, whatever waits.
#[test]
fn cg_i9_a_stop_does_not_wait_for_what_was_not_told() {
    let (mut rig, log) = Rig::synced(&["a@1"], 5);
    log.take();
    for version in 6..106 {
        rig.put(EventKind::Modified, &format!("a@{version}"));
    }
    rig.pipeline.handle(rig.now, Input::Stop);
    rig.pipeline.run(rig.now, 10);
    assert_eq!(log.take().len(), 10, "what the last slice had room for");
    assert!(rig.pipeline.fanout().backlog() > 0);
    assert_eq!(rig.seen(), "a@105 rv=105", "the store is whole");
    // A handler that is gone keeps nobody waiting either.
    let (mut rig, log) = Rig::synced(&["a@1"], 5);
    let id = rig.pipeline.fanout().handlers().next().unwrap().id;
    assert!(rig.pipeline.remove_handler(id, Removal::Drop));
    log.take();
    rig.put(EventKind::Modified, "a@6");
    rig.run();
    assert_eq!((rig.seen().as_str(), log.take().len()), ("a@6 rv=6", 0));
}

#[test]
fn cg_p6_a_batch_is_one_publication_and_its_callbacks_follow_it() {
    for (batch_max, generations) in [(1000, 1), (2, 2), (1, 4)] {
        let config = PipelineConfig {
            batch_max,
            ..PipelineConfig::default()
        };
        let (mut rig, log) = Rig::synced_with(config, &["a@1", "b@2"], 5);
        log.take();
        let reader = rig.pipeline.indexer().reader();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let saw = Arc::clone(&seen);
        let handler = move |_: Event<'_, u64>| {
            let version = reader.resource_version().unwrap().to_string();
            saw.lock().unwrap().push(version);
        };
        rig.pipeline
            .add_handler(rig.now, Box::new(handler), HandlerOptions::default());
        rig.run();
        seen.lock().unwrap().clear();
        let before = rig.pipeline.indexer().snapshot().generation();
        for (kind, object) in [
            (EventKind::Modified, "a@6"),
            (EventKind::Added, "c@7"),
            (EventKind::Deleted, "b@8"),
            (EventKind::Modified, "a@9"),
        ] {
            rig.put(kind, object);
        }
        rig.run();
        let after = rig.pipeline.indexer().snapshot().generation();
        assert_eq!(after - before, generations, "batches of {batch_max}");
        let expected: &[&str] = match batch_max {
            1000 => &["9", "9", "9", "9"],
            2 => &["7", "7", "9", "9"],
            _ => &["6", "7", "8", "9"],
        };
        assert_eq!(*seen.lock().unwrap(), expected, "batches of {batch_max}");
    }
}

/// Each error of processing is counted where it can be seen, costs its own object, and neither
/// stops what follows nor is lost.
#[test]
fn cg_p7_errors_of_processing_are_counted_and_shown() {
    let (mut rig, log) = Rig::synced(&["a@1"], 5);
    let index = |entry: &Entry<u64>, emit: &mut dyn FnMut(&str)| {
        assert!(entry.object.key() != "odd", "the index function's own bug");
        emit("all");
    };
    rig.pipeline.add_index("all", Box::new(index)).unwrap();
    let handler = |event: Event<'_, u64>| {
        assert!(
            event.entry().object.key() != "panics",
            "the handler's own bug"
        );
    };
    let id = rig
        .pipeline
        .add_handler(rig.now, Box::new(handler), HandlerOptions::default());
    rig.run();
    log.take();
    rig.added("odd@6");
    rig.added("panics@7");
    rig.added("bad@8!");
    rig.modified("a@8");
    rig.modified("a@8");
    rig.deleted("never@9");
    assert_eq!(rig.pipeline.indexer().index_failures(), 1);
    assert_eq!(rig.pipeline.fanout().handler(id).unwrap().panics, 1);
    let dropped = rig.pipeline.dropped();
    assert_eq!((dropped.same_version, dropped.unknown_delete), (1, 1));
    assert_eq!(
        log.take(),
        [
            "add odd@6",
            "add panics@7",
            "poison bad@8",
            "update a@1 -> a@8"
        ]
    );
    assert_eq!(rig.seen(), "a@8 bad@8 odd@6 panics@7 rv=9");
    let reader = rig.pipeline.indexer().reader();
    // A poisoned object without a good value is in no index; the odd one is in none of this.
    assert_eq!(reader.by_index("all", "all").unwrap().len(), 3);
}

/// A handler that is told one event a turn: what waits for it is bounded by the queue and one batch,
/// and then the stream is not read.
#[test]
fn cg_i6_pr_f52_what_waits_for_slow_handlers_is_bounded_by_the_queue() {
    let config = PipelineConfig {
        depth_max: 32,
        batch_max: 8,
        ..PipelineConfig::default()
    };
    let (mut rig, log) = Rig::synced_with(config, &["a@1"], 5);
    let told = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&told);
    let handler = move |_: Event<'_, u64>| {
        count.fetch_add(1, Ordering::Relaxed);
    };
    rig.pipeline
        .add_handler(rig.now, Box::new(handler), HandlerOptions::default());
    rig.run();
    log.take();
    told.store(0, Ordering::Relaxed);
    let (mut fed, mut turned_away, mut most) = (0_u64, 0, 0);
    for step in 0..10_000 {
        // Four events come for each one that is told.
        for _ in 0..4 {
            if rig.pipeline.wants_input() {
                fed += 1;
                rig.put(EventKind::Modified, &format!("k{}@{}", fed % 9, 5 + fed));
            } else {
                turned_away += 1;
            }
        }
        rig.pipeline.run(rig.now, 1);
        let waiting = rig.pipeline.depth() + rig.pipeline.fanout().backlog();
        most = waiting.max(most);
        assert!(waiting <= 32 + 8, "step {step}: {waiting} changes wait");
    }
    assert!(turned_away > 20_000 && most > 32, "{turned_away} {most}");
    rig.run();
    assert_eq!(log.take().len() as u64, fed, "and nothing was lost");
    assert_eq!(told.load(Ordering::Relaxed), fed);
}

/// Every event becomes a change that all handlers are told, or is dropped for a counted reason.
#[test]
fn inv_l4_what_was_queued_is_told_or_dropped_on_purpose() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let config = PipelineConfig {
            depth_max: rng.usize(1..20),
            batch_max: rng.usize(1..10),
            ..PipelineConfig::default()
        };
        let (mut rig, log) = Rig::synced_with(config, &["k0@9", "k1@2"], 5);
        log.take();
        let (mut version, mut events) = (5, 0);
        let before = rig.pipeline.fanout().changes();
        for _ in 0..200 {
            version += rng.u64(..2);
            let kinds = [EventKind::Added, EventKind::Modified, EventKind::Deleted];
            let object = format!("k{}@{version}", rng.u8(..4));
            if rig.pipeline.wants_input() {
                rig.put(kinds[rng.usize(..3)], &object);
                events += 1;
            }
            if rng.u8(..3) == 0 {
                rig.pipeline.run(rig.now, rng.usize(1..5));
            }
            rig.pipeline.hold(rng.u8(..4) == 0);
        }
        rig.pipeline.hold(false);
        rig.run();
        let dropped = rig.pipeline.dropped();
        let on_purpose = dropped.same_version
            + dropped.older_version
            + dropped.unknown_delete
            + dropped.other_uid;
        let changes = rig.pipeline.fanout().changes() - before;
        assert_eq!(changes + on_purpose, events, "seed {seed}: {dropped:?}");
        assert_eq!(log.take().len() as u64, changes, "seed {seed}");
        assert_eq!(rig.pipeline.depth() + rig.pipeline.fanout().backlog(), 0);
    }
}

/// A handler that panicked is not a handler that is stuck: what it failed on is told again, and after
/// ten in a row it is detached, visibly; others go on.
#[test]
fn inv_l4_a_failed_key_is_told_again_or_its_handler_is_detached() {
    let (mut rig, log) = Rig::synced(&["a@1"], 5);
    let tries = Arc::new(AtomicU64::new(0));
    let tried = Arc::clone(&tries);
    let handler = move |_: Event<'_, u64>| {
        tried.fetch_add(1, Ordering::Relaxed);
        panic!("the handler's own bug");
    };
    let id = rig
        .pipeline
        .add_handler(rig.now, Box::new(handler), HandlerOptions::default());
    rig.run();
    for _ in 0..20 {
        rig.now = rig.now + std::time::Duration::from_secs(30);
        rig.run();
    }
    let status = rig.pipeline.fanout().handler(id).unwrap();
    assert_eq!((status.state, status.panics), (HandlerState::Detached, 10));
    assert_eq!(tries.load(Ordering::Relaxed), 10);
    rig.modified("a@6");
    assert_eq!(log.take().last().unwrap(), "update a@1 -> a@6");
}

/// A resync that waits with changes tells what is there when its turn comes: never an older state
/// after a newer one, and nothing that is gone.
#[test]
fn cg_f5_a_resync_among_changes_tells_the_present() {
    for order in ORDERS {
        let (mut rig, _log) = Rig::synced_with(in_order(order), &["a@1", "b@2"], 5);
        let log = Log::default();
        let options = HandlerOptions {
            resync: Some(std::time::Duration::from_secs(3600)),
        };
        rig.pipeline.add_handler(rig.now, log.handler(), options);
        rig.run();
        log.take();
        rig.pipeline.hold(true);
        rig.modified("a@6");
        rig.pipeline.resync();
        rig.modified("a@7");
        rig.deleted("b@8");
        rig.pipeline.hold(false);
        // One event a turn: the resync is due while changes still wait to be told.
        while rig.pipeline.run(rig.now, 1) {}
        assert_eq!(
            log.take(),
            [
                "update a@1 -> a@6",
                "update a@6 -> a@7",
                "delete b@8",
                "update a@7 -> a@7"
            ],
            "{order:?}"
        );
    }
}

/// Handlers that come and go at any moment while events flow: each hears a legal history, and those
/// that stay know at the end what is there.
#[test]
fn cg_i2_inv_s6_handlers_that_come_and_go_hear_legal_histories() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut rig, _log) = Rig::synced(&["k0@1", "k1@2", "k2@3"], 5);
        let mut there: Vec<(HandlerId, Log)> = Vec::new();
        let mut gone = Vec::new();
        for version in 6..150 {
            let kinds = [EventKind::Added, EventKind::Modified, EventKind::Deleted];
            match rng.u8(..6) {
                0 => {
                    let log = Log::default();
                    let options = HandlerOptions::default();
                    let id = rig.pipeline.add_handler(rig.now, log.handler(), options);
                    there.push((id, log));
                }
                1 if !there.is_empty() => {
                    let (id, log) = there.swap_remove(rng.usize(..there.len()));
                    let removals = [Removal::Drop, Removal::Drain];
                    assert!(rig.pipeline.remove_handler(id, removals[rng.usize(..2)]));
                    gone.push(log);
                }
                2 => drop(rig.pipeline.run(rig.now, rng.usize(1..4))),
                _ => rig.put(
                    kinds[rng.usize(..3)],
                    &format!("k{}@{version}", rng.u8(..5)),
                ),
            }
        }
        rig.run();
        for log in &gone {
            folded(log, seed);
        }
        let snapshot = rig.pipeline.indexer().snapshot();
        let stored: std::collections::BTreeSet<String> = snapshot
            .iter()
            .map(|entry| entry.object.key().to_owned())
            .collect();
        for (_, log) in &there {
            assert_eq!(folded(log, seed), stored, "seed {seed}");
        }
    }
}

/// The keys that a history leaves, each of which was added before it was updated or deleted.
fn folded(log: &Log, seed: u64) -> std::collections::BTreeSet<String> {
    let mut known = std::collections::BTreeSet::new();
    for told in log.take() {
        let object = told.split(' ').rfind(|word| word.contains('@')).unwrap();
        let key = object.split_once('@').unwrap().0.to_owned();
        let is_legal = match told.split(' ').next().unwrap() {
            "add" => known.insert(key),
            "update" => known.contains(&key),
            _ => known.remove(&key),
        };
        assert!(is_legal, "seed {seed}: {told}");
    }
    known
}
