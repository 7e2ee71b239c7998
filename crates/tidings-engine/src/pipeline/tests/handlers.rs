//! Who is told what, and when: late handlers, resyncs, panics, removals.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use super::{support::*, *};
use crate::fanout::{Event, HandlerState};

fn resync(seconds: u64) -> HandlerOptions {
    HandlerOptions {
        resync: Some(Duration::from_secs(seconds)),
    }
}

#[test]
fn cg_i7_cg_q5_a_handler_is_synced_when_it_was_told_the_initial_state() {
    let mut rig = Rig::new();
    let log = Log::default();
    let id = rig
        .pipeline
        .add_handler(rig.now, log.handler(), HandlerOptions::default());
    rig.feed(Input::Start);
    rig.begin_list(&["a@1", "b@2", "c@3"]);
    let synced = |rig: &Rig| rig.pipeline.fanout().handler(id).unwrap().synced;
    assert!(!synced(&rig));
    let end = Input::PageEnd {
        resource_version: Ok(ResourceVersion::from_revision(9)),
        continue_token: String::new(),
        remaining: None,
    };
    rig.pipeline.handle(rig.now, end);
    // One event at a time: the store is published at once, the handler is told step by step.
    rig.pipeline.run(rig.now, 1);
    rig.pipeline.run(rig.now, 1);
    assert!(rig.pipeline.is_synced() && !synced(&rig));
    rig.run();
    assert!(synced(&rig));
    assert_eq!(log.take().len(), 3);
}

#[test]
fn cg_i2_inv_s9_a_late_handler_is_told_the_state_then_each_change_once() {
    let (mut rig, early) = Rig::synced(&["a@1", "b@2"], 5);
    early.take();
    let late = Log::default();
    let id = rig
        .pipeline
        .add_handler(rig.now, late.handler(), HandlerOptions::default());
    // A change comes while it still catches up: nothing is told twice, nothing is left out.
    let received = rig.received("a@6");
    let event = Input::Event(tidings_api::frame::EventKind::Modified, received);
    rig.pipeline.handle(rig.now, event);
    rig.run();
    assert_eq!(early.take(), ["update a@1 -> a@6"]);
    let mut told = late.take();
    told.sort();
    let at_once = ["add a@6 initial", "add b@2 initial"];
    let in_two = ["add a@1 initial", "add b@2 initial", "update a@1 -> a@6"];
    assert!(told == at_once || told == in_two, "{told:?}");
    assert!(rig.pipeline.fanout().handler(id).unwrap().synced);
    rig.deleted("b@7");
    assert_eq!(late.take(), ["delete b@7"]);
}

#[test]
fn cg_i1_a_late_handler_catches_up_in_slices_while_others_are_told() {
    let keys: Vec<String> = (0..100).map(|i| format!("k{i}@1")).collect();
    let items: Vec<&str> = keys.iter().map(String::as_str).collect();
    let (mut rig, early) = Rig::synced(&items, 5);
    early.take();
    let late = Log::default();
    rig.pipeline
        .add_handler(rig.now, late.handler(), HandlerOptions::default());
    for step in 0..20 {
        let received = rig.received(&format!("k{step}@{}", 10 + step));
        let event = Input::Event(tidings_api::frame::EventKind::Modified, received);
        rig.pipeline.handle(rig.now, event);
        rig.pipeline.run(rig.now, 5);
        assert_eq!(early.take().len(), 1, "the early one is never kept waiting");
    }
    rig.run();
    // What the late one was told, folded, is the store.
    let mut folded = std::collections::BTreeMap::new();
    for line in late.take() {
        let object = line
            .rsplit(' ')
            .find(|word| word.contains('@'))
            .unwrap()
            .to_owned();
        let (key, version) = object.split_once('@').unwrap();
        let old = folded.insert(key.to_owned(), version.to_owned());
        assert_eq!(line.starts_with("add"), old.is_none(), "{line}");
    }
    assert_eq!(folded.len(), 100);
    assert_eq!(
        (folded["k19"].as_str(), folded["k20"].as_str()),
        ("29", "1")
    );
}

#[test]
fn cg_i3_cg_p4_cg_r25_only_who_asked_for_a_resync_is_told_everything_again() {
    let (mut rig, plain) = Rig::synced(&["a@1", "b@2"], 5);
    let log = Log::default();
    rig.pipeline.add_handler(rig.now, log.handler(), resync(30));
    rig.run();
    plain.take();
    log.take();
    rig.wait(29);
    assert_eq!(log.take(), [""; 0]);
    rig.wait(1);
    let mut told = log.take();
    told.sort();
    assert_eq!(told, ["update a@1 -> a@1", "update b@2 -> b@2"]);
    assert_eq!(plain.take(), [""; 0]);
    rig.wait(30);
    assert_eq!(log.take().len(), 2, "again after another period");
}

#[test]
fn cg_i5_a_resync_period_is_at_least_a_second() {
    let (mut rig, _log) = Rig::synced(&["a@1"], 5);
    let log = Log::default();
    let options = HandlerOptions {
        resync: Some(Duration::from_millis(1)),
    };
    rig.pipeline.add_handler(rig.now, log.handler(), options);
    rig.run();
    log.take();
    rig.now = rig.now + Duration::from_millis(999);
    rig.feed(Input::Tick);
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn cg_f5_a_resync_on_demand_goes_through_the_queue() {
    let (mut rig, _log) = Rig::synced(&["a@1"], 5);
    let log = Log::default();
    rig.pipeline
        .add_handler(rig.now, log.handler(), resync(3600));
    rig.run();
    log.take();
    rig.pipeline.resync();
    rig.run();
    assert_eq!(log.take(), ["update a@1 -> a@1"]);
}

#[test]
fn cg_i8_a_removal_drops_or_drains_as_asked() {
    for (removal, expected) in [(Removal::Drop, 1), (Removal::Drain, 3)] {
        let mut rig = Rig::new();
        let log = Log::default();
        let id = rig
            .pipeline
            .add_handler(rig.now, log.handler(), HandlerOptions::default());
        rig.feed(Input::Start);
        rig.begin_list(&["a@1", "b@2", "c@3"]);
        let end = Input::PageEnd {
            resource_version: Ok(ResourceVersion::from_revision(9)),
            continue_token: String::new(),
            remaining: None,
        };
        rig.pipeline.handle(rig.now, end);
        rig.pipeline.run(rig.now, 1);
        rig.pipeline.run(rig.now, 1);
        let before = log.0.lock().unwrap().len();
        assert!(
            (1..3).contains(&before),
            "some are told, some wait: {before}"
        );
        assert!(rig.pipeline.remove_handler(id, removal));
        assert!(!rig.pipeline.remove_handler(id, removal), "only once");
        let now = log.0.lock().unwrap().len();
        assert_eq!(now, expected.max(before), "{removal:?}");
        rig.run();
        rig.modified("a@10");
        assert_eq!(log.take().len(), now, "nothing is told after the removal");
    }
}

/// A handler that panics costs its own event and nobody else's (pr-F66).
#[test]
fn cg_i10_a_panic_hurts_one_event_which_is_told_again() {
    let mut rig = Rig::new();
    let log = Log::default();
    let (seen, other) = (log.clone(), Log::default());
    let fails = std::sync::Arc::new(AtomicBool::new(true));
    let failing = std::sync::Arc::clone(&fails);
    let handler = move |event: Event<'_, u64>| {
        let is_b = event.entry().object.key() == "b";
        assert!(
            !(is_b && failing.load(Ordering::Relaxed)),
            "the handler's own bug"
        );
        seen.0.lock().unwrap().push(line(&event));
    };
    let id = rig
        .pipeline
        .add_handler(rig.now, Box::new(handler), HandlerOptions::default());
    rig.pipeline
        .add_handler(rig.now, other.handler(), HandlerOptions::default());
    rig.feed(Input::Start);
    rig.list(&["a@1", "b@2", "c@3"], 5);
    assert_eq!(log.take(), ["add a@1 initial", "add c@3 initial"]);
    assert_eq!(other.take().len(), 3, "other handlers are not concerned");
    let status = rig.pipeline.fanout().handler(id).unwrap();
    assert_eq!(
        (status.panics, status.failed_keys, status.synced),
        (1, 1, true)
    );
    fails.store(false, Ordering::Relaxed);
    rig.wait(30);
    assert_eq!(
        log.take(),
        ["add b@2"],
        "told again, as what it is to this handler"
    );
    assert_eq!(rig.pipeline.fanout().handler(id).unwrap().failed_keys, 0);
}

#[test]
fn cg_i10_a_delete_that_failed_is_told_again_with_its_last_state() {
    let mut rig = Rig::new();
    let log = Log::default();
    let seen = log.clone();
    let failures = std::sync::Arc::new(AtomicU32::new(1));
    let handler = move |event: Event<'_, u64>| {
        if matches!(event, Event::Deleted { .. }) && failures.swap(0, Ordering::Relaxed) > 0 {
            panic!("the handler's own bug");
        }
        seen.0.lock().unwrap().push(line(&event));
    };
    rig.pipeline
        .add_handler(rig.now, Box::new(handler), HandlerOptions::default());
    rig.feed(Input::Start);
    rig.list(&["a@1"], 5);
    rig.deleted("a@6");
    log.take();
    rig.wait(30);
    assert_eq!(log.take(), ["delete a@6"]);
}

#[test]
fn a_handler_that_only_panics_is_detached_visibly() {
    let mut rig = Rig::new();
    let handler = |_: Event<'_, u64>| panic!("the handler's own bug");
    let id = rig
        .pipeline
        .add_handler(rig.now, Box::new(handler), HandlerOptions::default());
    rig.feed(Input::Start);
    let keys: Vec<String> = (0..20).map(|i| format!("k{i}@1")).collect();
    rig.list(&keys.iter().map(String::as_str).collect::<Vec<_>>(), 5);
    let status = rig.pipeline.fanout().handler(id).unwrap();
    assert_eq!((status.state, status.panics), (HandlerState::Detached, 10));
}

/// A handler that gets level while changes still wait for the others is not told those again: its
/// snapshot had them.
#[test]
fn cg_i2_a_late_handler_is_not_told_what_its_snapshot_had() {
    let (mut rig, early) = Rig::synced(&["a@1", "b@2"], 5);
    early.take();
    for version in 6..46 {
        let received = rig.received(&format!("a@{version}"));
        let event = Input::Event(tidings_api::frame::EventKind::Modified, received);
        rig.pipeline.handle(rig.now, event);
    }
    let late = Log::default();
    let id = rig
        .pipeline
        .add_handler(rig.now, late.handler(), HandlerOptions::default());
    let is_live =
        |rig: &Rig| rig.pipeline.fanout().handler(id).unwrap().state == HandlerState::Live;
    while !is_live(&rig) {
        assert!(
            rig.pipeline.run(rig.now, 4),
            "there is more to do until it is level"
        );
    }
    assert!(
        rig.pipeline.fanout().backlog() > 0,
        "changes still wait for the early one"
    );
    let told = late.take();
    rig.run();
    assert_eq!(early.take().len(), 40);
    assert_eq!(told.last().unwrap(), "update a@1 -> a@45");
    assert_eq!(late.take(), [""; 0], "nothing is told twice");
}
