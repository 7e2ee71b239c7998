//! What the simulation of the whole engine found, each by itself.

use std::time::Duration;

use tidings_api::frame::EventKind;

use super::{support::*, *};
use crate::{
    delta_fifo::Order,
    fanout::Event,
    reflector::{Failure, FailureKind},
};

fn per_key() -> PipelineConfig {
    PipelineConfig {
        order: Order::PerKey,
        batch_max: 1,
        ..PipelineConfig::default()
    }
}

/// It would have heard of the end of an object of which it never heard.
#[test]
fn inv_s6_a_late_handler_is_told_the_last_good_value_of_a_poisoned_object() {
    let (mut rig, early) = Rig::synced(&["a@1"], 1);
    rig.modified("a@2!");
    let late = Log::default();
    rig.pipeline
        .add_handler(rig.now, late.handler(), HandlerOptions::default());
    rig.run();
    rig.deleted("a@3");
    let told = ["add a@1 initial", "poison a@2", "delete a@3"];
    assert_eq!(late.take(), told);
    assert_eq!(early.take(), told);
}

/// It was told as if the last good state had been the final one.
#[test]
fn inv_s6_a_deletion_whose_last_state_cannot_be_decoded_does_not_claim_to_know_it() {
    for (end, told) in [("a@3", "delete a@3"), ("a@3!", "delete a@2 tombstone")] {
        let (mut rig, log) = Rig::synced(&["a@1"], 1);
        rig.modified("a@2");
        rig.deleted(end);
        assert_eq!(log.take(), ["add a@1 initial", "update a@1 -> a@2", told]);
    }
}

/// A handler that panics once, at its first deletion.
fn panics_once(log: &Log) -> Box<dyn Handler<u64>> {
    let mut inner = log.handler();
    let mut is_first = true;
    Box::new(move |event: Event<'_, u64>| {
        if matches!(event, Event::Deleted { .. }) && std::mem::take(&mut is_first) {
            // No hook prints it.
            std::panic::resume_unwind(Box::new("a handler that panics"));
        }
        inner.handle(event);
    })
}

/// It was lost, and the object that followed was told as if there were two.
#[test]
fn inv_s7_a_deletion_on_which_a_handler_panicked_is_told_before_what_follows() {
    let other = ["add a@1 initial", "delete a@2", "add a@3"];
    // The same object came back into the selection: its end was not told, and it did not end.
    let same = ["add a@1 initial", "update a@2 -> a@3"];
    for (after, expected) in [("a@3/other", &other[..]), ("a@3", &same[..])] {
        let (mut rig, _) = Rig::synced(&["a@1"], 1);
        let log = Log::default();
        rig.pipeline
            .add_handler(rig.now, panics_once(&log), HandlerOptions::default());
        rig.run();
        rig.deleted("a@2");
        rig.added(after);
        assert_eq!(log.take(), expected);
        rig.wait(60);
        assert_eq!(log.take(), Vec::<String>::new(), "nothing is owed");
    }
}

#[test]
fn inv_s7_a_deletion_on_which_a_handler_panicked_is_told_again() {
    let (mut rig, _) = Rig::synced(&["a@1"], 1);
    let log = Log::default();
    rig.pipeline
        .add_handler(rig.now, panics_once(&log), HandlerOptions::default());
    rig.run();
    rig.deleted("a@2");
    assert_eq!(log.take(), ["add a@1 initial"]);
    rig.wait(60);
    assert_eq!(log.take(), ["delete a@2"]);
}

/// The version of the delta that was applied last was published: one that waited for the higher one
/// waited for the next event.
#[test]
fn inv_s1_a_per_key_queue_publishes_the_highest_version_that_it_applied() {
    let (mut rig, _) = Rig::synced_with(per_key(), &["a@1", "b@1"], 1);
    rig.put(EventKind::Modified, "a@2");
    rig.put(EventKind::Modified, "b@3");
    rig.put(EventKind::Modified, "a@4");
    rig.run();
    assert_eq!(rig.seen(), "a@4 b@3 rv=4");
}

/// A resync counted as a delta of the reflector, and so did deltas that nobody could see yet: the next
/// watch began before what had come already.
#[test]
fn inv_s2_a_watch_is_opened_where_the_published_store_is() {
    let (mut rig, _) = Rig::synced_with(per_key(), &["a@1"], 1);
    rig.pipeline.hold(true);
    rig.pipeline.resync();
    rig.put(EventKind::Modified, "a@2");
    rig.put(EventKind::Modified, "a@3");
    rig.pipeline.resync();
    let failure = Failure {
        kind: FailureKind::Transport,
        message: "cut".to_owned(),
    };
    rig.pipeline.handle(rig.now, Input::Broken(failure));
    rig.now = rig.now + Duration::from_secs(90);
    rig.pipeline.handle(rig.now, Input::Tick);
    rig.pipeline.hold(false);
    while rig.pipeline.run(rig.now, 7) {}
    rig.pipeline.check_invariants();
    let mut opened = Vec::new();
    loop {
        match rig.pipeline.poll_output() {
            Output::Open(call) => opened.push(call.to_string()),
            Output::Idle { .. } => break,
            _ => {}
        }
    }
    assert_eq!(opened, ["WATCH rv=3"]);
}
