//! What each delta does to the store, and what readers see of it.

use super::{support::*, *};
use crate::{delta_fifo::Order, entry::Value, reflector::WakeReason};

#[test]
fn inv_s5_cg_f3_cg_r7_readers_see_nothing_before_the_list_is_complete() {
    let mut rig = Rig::new();
    rig.feed(Input::Start);
    rig.begin_list(&["a@1", "b@2"]);
    assert_eq!(
        (rig.seen().as_str(), rig.pipeline.is_synced()),
        (" rv=", false)
    );
    rig.end_list(9);
    assert_eq!(
        (rig.seen().as_str(), rig.pipeline.is_synced()),
        ("a@1 b@2 rv=9", true)
    );
}

#[test]
fn inv_s5_a_relist_shows_the_old_state_or_the_new_one() {
    let (mut rig, _log) = Rig::synced(&["a@1", "b@2"], 9);
    rig.expire();
    rig.begin_list(&["b@2", "c@11"]);
    assert_eq!(rig.seen(), "a@1 b@2 rv=9");
    rig.end_list(12);
    assert_eq!(rig.seen(), "b@2 c@11 rv=12");
}

/// A relist is one step to everybody who looks, and an error in it leaves all as it was (cg-Q3).
#[test]
fn inv_s5_a_list_that_breaks_leaves_no_trace() {
    let (mut rig, log) = Rig::synced(&["a@1", "b@2"], 9);
    log.take();
    rig.expire();
    rig.begin_list(&["c@11", "a@10"]);
    rig.feed(Input::Ended);
    assert_eq!(rig.seen(), "a@1 b@2 rv=9");
    assert_eq!(log.take(), [""; 0]);
    rig.wait(90);
    rig.list(&["a@1", "b@2"], 13);
    assert_eq!(rig.seen(), "a@1 b@2 rv=13");
    assert_eq!(log.take(), [""; 0], "nothing changed");
}

#[test]
fn cg_i4_cg_p5_a_relist_tells_deletions_first_then_changes_in_list_order_and_nothing_unchanged() {
    let (mut rig, log) = Rig::synced(&["a@1", "b@2", "c@3", "d@4"], 9);
    log.take();
    rig.expire();
    rig.list(&["e@10", "c@3", "b@11"], 12);
    let mut told = log.take();
    told[..2].sort();
    assert_eq!(
        told,
        [
            "delete a@1 tombstone",
            "delete d@4 tombstone",
            "add e@10",
            "update b@2 -> b@11"
        ]
    );
}

#[test]
fn cg_p1_inv_s9_the_store_has_a_change_before_the_handler_is_told() {
    let mut rig = Rig::new();
    let reader = rig.pipeline.indexer().reader();
    let log = Log::default();
    let seen = log.clone();
    let handler = move |event: crate::fanout::Event<'_, u64>| {
        let key = event.entry().object.key().to_owned();
        let stored = reader.get(&key).map(|entry| format!("{:?}", entry.object));
        seen.0
            .lock()
            .unwrap()
            .push(format!("{} sees {stored:?}", line(&event)));
    };
    rig.pipeline
        .add_handler(rig.now, Box::new(handler), HandlerOptions::default());
    rig.feed(Input::Start);
    rig.list(&["a@1"], 5);
    rig.modified("a@6");
    rig.deleted("a@7");
    assert_eq!(
        log.take(),
        [
            "add a@1 initial sees Some(\"a@1\")",
            "update a@1 -> a@6 sees Some(\"a@6\")",
            "delete a@7 sees None"
        ]
    );
}

#[test]
fn cg_p2_the_stores_state_decides_and_not_the_events_type() {
    let (mut rig, log) = Rig::synced(&["a@1"], 5);
    log.take();
    rig.added("a@6");
    rig.modified("b@7");
    assert_eq!(log.take(), ["update a@1 -> a@6", "add b@7"]);
}

#[test]
fn cg_p8_a_new_uid_under_a_key_is_a_delete_and_an_add() {
    let (mut rig, log) = Rig::synced(&["a@1/u1"], 5);
    log.take();
    rig.modified("a@6/u2");
    assert_eq!(log.take(), ["delete a@1 tombstone", "add a@6"]);
    rig.expire();
    rig.list(&["a@8/u3"], 9);
    assert_eq!(log.take(), ["delete a@6 tombstone", "add a@8"]);
}

#[test]
fn cg_q1_a_delete_of_what_is_not_stored_is_not_told() {
    let (mut rig, log) = Rig::synced(&["a@1/u2"], 5);
    log.take();
    rig.deleted("x@6");
    rig.deleted("a@7/u1");
    assert_eq!(log.take(), [""; 0]);
    let dropped = rig.pipeline.dropped();
    assert_eq!((dropped.unknown_delete, dropped.other_uid), (1, 1));
    assert_eq!(rig.seen(), "a@1 rv=7");
}

#[test]
fn inv_s3_the_same_version_again_is_dropped_and_counted() {
    let (mut rig, log) = Rig::synced(&["a@5"], 5);
    log.take();
    rig.modified("a@6");
    rig.modified("a@6");
    assert_eq!(log.take(), ["update a@5 -> a@6"]);
    assert_eq!(rig.pipeline.dropped().same_version, 1);
}

#[test]
fn inv_s3_an_older_version_never_replaces_a_newer_one() {
    // The list is at 5 while the object is already at 9: legal (pr-R5), so events up to 9 follow.
    let (mut rig, log) = Rig::synced(&["a@9"], 5);
    log.take();
    rig.modified("a@8");
    rig.deleted("a@8");
    assert_eq!(log.take(), [""; 0]);
    assert_eq!(rig.pipeline.dropped().older_version, 2);
    assert_eq!(rig.seen(), "a@9 rv=8");
}

#[test]
fn inv_s4_in_a_new_epoch_an_equal_version_proves_nothing() {
    let (mut rig, log) = Rig::synced(&["a@1", "b@2"], 100);
    log.take();
    rig.expire();
    // A consistent list below our version: thrown away, and taken again with a forced comparison.
    rig.list(&["a@1", "b@2"], 50);
    assert_eq!(rig.pipeline.condition().epoch, 1);
    rig.list(&["a@1", "b@2"], 50);
    assert_eq!(rig.seen(), "a@1 b@2 rv=50");
    let mut told = log.take();
    told.sort();
    assert_eq!(told, ["update a@1 -> a@1", "update b@2 -> b@2"]);
    assert_eq!(
        rig.pipeline.reflector().stats().reasons[&WakeReason::EpochChanged],
        1
    );
}

#[test]
fn inv_s11_an_undecodable_object_keeps_its_last_good_value_and_hurts_nobody_else() {
    let (mut rig, log) = Rig::synced(&["a@1", "b@2!"], 5);
    assert_eq!(log.take(), ["add a@1 initial", "poison b@2"]);
    rig.modified("a@6!");
    let stored = rig.pipeline.indexer().get("a").unwrap();
    assert!(matches!(stored.value, Value::Poisoned(_)));
    assert_eq!(stored.effective(), Some(&1));
    assert_eq!(rig.seen(), "a@6 b@2 rv=6");
    rig.modified("a@7");
    rig.modified("b@8");
    assert_eq!(log.take(), ["poison a@6", "update a@6 -> a@7", "add b@8"]);
}

#[test]
fn inv_s11_a_poisoned_object_that_goes_is_told_only_to_who_knew_it() {
    let (mut rig, log) = Rig::synced(&["a@1", "b@2!"], 5);
    rig.modified("a@6!");
    log.take();
    rig.deleted("a@7!");
    rig.deleted("b@8!");
    assert_eq!(log.take(), ["delete a@6 tombstone"]);
    assert_eq!(rig.seen(), " rv=8");
}

#[test]
fn inv_s11_a_list_with_a_keyless_item_deletes_nothing() {
    let (mut rig, log) = Rig::synced(&["a@1", "b@2"], 5);
    log.take();
    rig.expire();
    rig.begin_list(&["a@1"]);
    rig.feed(Input::Item(crate::reflector::Received::Keyless));
    rig.end_list(9);
    assert_eq!(rig.seen(), "a@1 b@2 rv=9");
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn inv_s2_a_bookmark_moves_the_stores_version_alone() {
    let (mut rig, log) = Rig::synced(&["a@1"], 5);
    log.take();
    let resource_version = Ok(ResourceVersion::from_revision(77));
    rig.feed(Input::Bookmark {
        resource_version,
        initial_events_end: false,
    });
    assert_eq!(rig.seen(), "a@1 rv=77");
    assert_eq!(log.take(), [""; 0]);
    assert_eq!(
        rig.pipeline
            .reflector()
            .resource_version()
            .unwrap()
            .to_string(),
        "77"
    );
}

/// The consumer held: the queue fills in order, pushes back, and loses nothing.
#[test]
fn cg_q7_a_held_consumer_pushes_back_on_the_stream_under_both_orders() {
    for order in [Order::Arrival, Order::PerKey] {
        let config = PipelineConfig {
            order,
            depth_max: 4,
            ..PipelineConfig::default()
        };
        let mut rig = Rig::with(config);
        let log = Log::default();
        rig.pipeline
            .add_handler(rig.now, log.handler(), HandlerOptions::default());
        rig.feed(Input::Start);
        rig.list(&["a@1", "b@2"], 5);
        log.take();
        rig.pipeline.hold(true);
        let mut fed = 0;
        for event in ["a@6", "b@7", "a@8", "c@9", "b@10", "a@11"] {
            if !rig.pipeline.wants_input() {
                break;
            }
            rig.modified(event);
            fed += 1;
        }
        assert_eq!((fed, rig.pipeline.depth()), (4, 4), "{order:?}");
        assert_eq!(rig.seen(), "a@1 b@2 rv=5", "nothing is applied while held");
        rig.pipeline.hold(false);
        rig.run();
        assert!(rig.pipeline.wants_input());
        assert_eq!(rig.seen(), "a@8 b@7 c@9 rv=9");
        let expected: &[&str] = match order {
            Order::Arrival => &[
                "update a@1 -> a@6",
                "update b@2 -> b@7",
                "update a@6 -> a@8",
                "add c@9",
            ],
            Order::PerKey => &[
                "update a@1 -> a@6",
                "update a@6 -> a@8",
                "update b@2 -> b@7",
                "add c@9",
            ],
        };
        assert_eq!(log.take(), expected, "{order:?}");
    }
}

#[test]
fn cg_i12_cg_s3_an_index_added_while_running_has_what_is_stored() {
    let (mut rig, _log) = Rig::synced(&["a@1", "b@2"], 5);
    let by_parity = |entry: &crate::entry::Entry<u64>, emit: &mut dyn FnMut(&str)| {
        if let Some(number) = entry.effective() {
            emit(if number % 2 == 0 { "even" } else { "odd" });
        }
    };
    rig.pipeline
        .add_index("parity", Box::new(by_parity))
        .unwrap();
    let reader = rig.pipeline.indexer().reader();
    let keys = |value: &str| reader.index_keys("parity", value).unwrap().len();
    assert_eq!((keys("even"), keys("odd")), (1, 1));
    rig.modified("a@6");
    assert_eq!((keys("even"), keys("odd")), (2, 0));
    assert!(
        rig.pipeline
            .add_index("parity", Box::new(by_parity))
            .is_err()
    );
}

/// A delete that the queue merged into another is not waited for: the watch is resumed.
#[test]
fn cg_f1_a_merged_delete_does_not_keep_the_watch_from_being_resumed() {
    let config = PipelineConfig {
        order: Order::PerKey,
        ..PipelineConfig::default()
    };
    let mut rig = Rig::with(config);
    rig.feed(Input::Start);
    rig.list(&["a@1", "b@2"], 5);
    rig.pipeline.hold(true);
    rig.deleted("a@6");
    rig.deleted("a@7");
    rig.pipeline.hold(false);
    rig.run();
    assert_eq!(rig.seen(), "b@2 rv=6");
    let watches = rig.pipeline.reflector().stats().watches;
    let message = "cut".to_owned();
    let kind = crate::reflector::FailureKind::Transport;
    rig.feed(Input::Broken(crate::reflector::Failure { kind, message }));
    rig.wait(90);
    assert_eq!(rig.pipeline.reflector().stats().watches, watches + 1);
}

#[test]
fn what_does_not_fit_the_store_is_kept_without_its_content_until_there_is_room() {
    let config = PipelineConfig {
        store_bytes_max: 2_100,
        ..PipelineConfig::default()
    };
    let mut rig = Rig::with(config);
    rig.json = "x".repeat(1_000);
    let log = Log::default();
    rig.pipeline
        .add_handler(rig.now, log.handler(), HandlerOptions::default());
    rig.feed(Input::Start);
    rig.list(&["a@1", "b@2", "c@3"], 9);
    assert_eq!(
        log.take(),
        ["add a@1 initial", "add b@2 initial", "poison c@"]
    );
    assert!(rig.pipeline.indexer().entry_bytes() < 2_100);
    let snapshot = rig.pipeline.indexer().snapshot();
    let Some(Value::Poisoned(poison)) = snapshot.get("c").map(|entry| &entry.value) else {
        panic!("c is known, and poisoned");
    };
    assert_eq!(
        poison.problem,
        "the store's 2100 bytes are used up: the content of resourceVersion 3 is not kept"
    );
    // What is there already may change, and what does not fit may still not come.
    rig.modified("a@10");
    rig.modified("c@11");
    assert_eq!(log.take(), ["update a@1 -> a@10", "poison c@"]);
    assert_eq!(rig.pipeline.over_budget(), 2);
    // With room it heals by its next change, or by a list that has it as it was.
    rig.deleted("a@12");
    rig.expire();
    rig.list(&["b@2", "c@11"], 13);
    assert_eq!(log.take(), ["delete a@12", "add c@11"]);
    // Keys are kept even beyond the budget, and cost nobody who is in.
    for version in [14, 15, 16] {
        rig.expire();
        rig.list(&["b@2", "c@11", "d@12", "e@12", "f@12", "g@12"], version);
        let poisoned = ["poison d@", "poison e@", "poison f@", "poison g@"];
        assert_eq!(log.take(), poisoned);
    }
    assert!(rig.pipeline.indexer().entry_bytes() > 2_100);
}

/// What an object was before it outgrew the room is not kept beside it, and a handler still knows it.
#[test]
fn an_object_that_outgrows_the_store_leaves_nothing_uncounted() {
    let config = PipelineConfig {
        store_bytes_max: 2_100,
        ..PipelineConfig::default()
    };
    let mut rig = Rig::with(config);
    rig.json = "x".repeat(1_000);
    let log = Log::default();
    rig.pipeline
        .add_handler(rig.now, log.handler(), HandlerOptions::default());
    rig.feed(Input::Start);
    rig.list(&["a@1", "b@2"], 9);
    rig.json = "x".repeat(1_500);
    rig.modified("a@10");
    let snapshot = rig.pipeline.indexer().snapshot();
    let entry = snapshot.get("a").unwrap();
    assert!(entry.effective_object().is_none() && entry.effective().is_some());
    assert!(rig.pipeline.indexer().entry_bytes() < 1_100);
    rig.json = String::new();
    rig.modified("a@11");
    assert_eq!(
        log.take(),
        [
            "add a@1 initial",
            "add b@2 initial",
            "poison a@",
            "update a@ -> a@11"
        ]
    );
}

/// The last good object beside one that cannot be decoded takes room, too.
#[test]
fn a_last_good_object_is_counted() {
    let mut rig = Rig::new();
    rig.json = "x".repeat(1_000);
    rig.feed(Input::Start);
    rig.list(&["a@1"], 9);
    let one = rig.pipeline.indexer().entry_bytes();
    rig.modified("a@10!");
    assert_eq!(
        rig.pipeline.indexer().entry_bytes(),
        2 * one + 1,
        "10 has two digits"
    );
    rig.modified("a@11");
    assert_eq!(rig.pipeline.indexer().entry_bytes(), one + 1);
}
