//! The fault catalogue, as far as it reaches the store and the handlers: what was never seen, seen
//! twice, out of order, under another uid, or from another history.

use tidings_api::frame::EventKind;

use super::{support::*, *};
use crate::reflector::{ListMode, Received, WakeReason};

const ORDERS: [Order; 2] = [Order::Arrival, Order::PerKey];

fn in_order(order: Order) -> PipelineConfig {
    PipelineConfig {
        order,
        ..PipelineConfig::default()
    }
}

/// What came and went between two lists is told to nobody; what is gone is told as a tombstone, with
/// the last state that was known.
#[test]
fn cg_p3_pr_f2_what_is_missing_from_a_list_is_a_tombstone_with_its_last_known_state() {
    let (mut rig, log) = Rig::synced(&["a@1", "b@2"], 5);
    rig.modified("b@6");
    rig.deleted("a@7");
    assert_eq!(
        log.take().last().unwrap(),
        "delete a@7",
        "the server said so"
    );
    // While we are away: b changes to 8 and goes, x comes and goes, c comes, goes and comes.
    rig.expire();
    rig.list(&["c@12"], 20);
    assert_eq!(log.take(), ["delete b@6 tombstone", "add c@12"]);
    assert_eq!(rig.seen(), "c@12 rv=20");
}

/// Events that the server's own cache lost are not seen until a list, and then they are.
#[test]
fn pr_f5_what_a_servers_cache_lost_is_mended_by_the_next_list() {
    let (mut rig, log) = Rig::synced(&["a@1", "b@2", "c@3"], 5);
    log.take();
    // a was deleted at 6 and b changed at 7, but neither event came.
    rig.modified("c@8");
    rig.expire();
    rig.list(&["b@7", "c@8"], 9);
    assert_eq!(
        log.take(),
        [
            "update c@3 -> c@8",
            "delete a@1 tombstone",
            "update b@2 -> b@7"
        ]
    );
}

/// Repeated events change nothing, and one from the past leads to a consistent list.
#[test]
fn pr_f6_repeated_and_reordered_events_do_no_harm() {
    let (mut rig, log) = Rig::synced(&["a@1", "b@2"], 5);
    log.take();
    for object in ["a@6", "a@6", "b@7", "b@7"] {
        rig.modified(object);
    }
    rig.deleted("b@8");
    rig.deleted("b@8");
    assert_eq!(
        log.take(),
        ["update a@1 -> a@6", "update b@2 -> b@7", "delete b@8"]
    );
    rig.modified("a@7");
    assert_eq!(log.take(), [""; 0], "it is older than what is here");
    let reasons = &rig.pipeline.reflector().stats().reasons;
    assert_eq!(reasons[&WakeReason::VersionWentBack], 1);
    rig.wait(90);
    rig.list(&["a@9"], 10);
    assert_eq!(log.take(), ["update a@6 -> a@9"]);
}

/// Another cluster behind the same name, with lower versions: every object is another one.
#[test]
fn pr_f10_another_clusters_objects_take_the_place_of_ours() {
    let (mut rig, log) = Rig::synced(&["a@50/u1", "b@60/u2"], 100);
    log.take();
    rig.expire();
    for _ in 0..2 {
        // The first list proves the other history, the second one is compared without trust.
        rig.list(&["a@50/v1", "c@30/v3"], 70);
    }
    let mut told = log.take();
    told.sort();
    assert_eq!(
        told,
        [
            "add a@50",
            "add c@30",
            "delete a@50 tombstone",
            "delete b@60 tombstone"
        ]
    );
    assert_eq!(rig.pipeline.condition().epoch, 1);
    assert_eq!(rig.seen(), "a@50 c@30 rv=70");
}

/// Versions of a restored server mean something else: the same uid may be back at a lower one.
#[test]
fn pr_e15_pr_r3_after_a_restore_a_uid_may_be_back_at_a_lower_version() {
    let (mut rig, log) = Rig::synced(&["a@80/u", "b@40/w"], 100);
    log.take();
    rig.expire();
    for _ in 0..2 {
        rig.list(&["a@30/u", "b@40/w"], 50);
    }
    let mut told = log.take();
    told.sort();
    assert_eq!(told, ["update a@80 -> a@30", "update b@40 -> b@40"]);
    assert_eq!(rig.seen(), "a@30 b@40 rv=50");
    // In the new history versions go up again from there.
    rig.modified("a@51/u");
    assert_eq!(log.take(), ["update a@30 -> a@51"]);
}

#[test]
fn pr_f45_added_when_known_modified_when_unknown_deleted_twice_all_have_a_meaning() {
    let (mut rig, log) = Rig::synced(&["a@1"], 5);
    log.take();
    rig.added("a@6");
    rig.modified("b@7");
    rig.deleted("b@8");
    rig.deleted("b@9");
    rig.deleted("c@10");
    assert_eq!(log.take(), ["update a@1 -> a@6", "add b@7", "delete b@8"]);
    assert_eq!(rig.pipeline.dropped().unknown_delete, 2);
    assert_eq!(rig.seen(), "a@6 rv=10");
}

/// A new incarnation under a key, without a deletion in between, is the end of the old one, whether
/// an event or a list brings it.
#[test]
fn pr_f46_a_uid_that_changes_without_a_deletion_ends_the_old_object() {
    for order in ORDERS {
        let (mut rig, log) = Rig::synced_with(in_order(order), &["a@1/u1"], 5);
        log.take();
        rig.modified("a@6/u2");
        rig.deleted("a@7/u1");
        assert_eq!(log.take(), ["delete a@1 tombstone", "add a@6"], "{order:?}");
        assert_eq!(rig.pipeline.dropped().other_uid, 1);
        rig.expire();
        rig.list(&["a@8/u3"], 9);
        assert_eq!(log.take(), ["delete a@6 tombstone", "add a@8"]);
    }
}

/// A deletion that waits in the queue when a relist begins, with the relist having the key again, or
/// not; and the same the other way round: what a list still has is deleted right after it.
#[test]
fn pr_f47_a_deletion_that_waits_while_a_relist_is_under_way_is_told_once() {
    for order in ORDERS {
        for (items, expected, seen) in [
            (&["b@2"][..], &["delete a@6", "delete b@7"][..], " rv=11"),
            (
                &["a@8/new", "b@2"][..],
                &["delete a@6", "add a@8", "delete b@7"][..],
                "a@8 rv=11",
            ),
        ] {
            let (mut rig, log) = Rig::synced_with(in_order(order), &["a@1", "b@2"], 5);
            log.take();
            rig.pipeline.hold(true);
            rig.deleted("a@6");
            rig.expire();
            rig.begin_list(items);
            rig.pipeline.hold(false);
            rig.end_list(10);
            rig.deleted("b@11");
            let told: Vec<String> = log
                .take()
                .iter()
                .map(|line| line.replace("b@11", "b@7"))
                .collect();
            assert_eq!(told, expected, "{order:?} {items:?}");
            assert_eq!(rig.seen(), seen);
        }
    }
}

/// The initial events of a WatchList with live changes among them: what goes before the end bookmark
/// leaves no ghost, and who knew it from before is told.
#[test]
fn pr_f47_a_deletion_among_initial_events_leaves_no_ghost() {
    let mut rig = Rig::in_mode(PipelineConfig::default(), ListMode::WatchList);
    let log = Log::default();
    rig.pipeline
        .add_handler(rig.now, log.handler(), HandlerOptions::default());
    rig.feed(Input::Start);
    let watch_list = |rig: &mut Rig, events: &[(EventKind, &str)], version| {
        rig.feed(Input::Accepted);
        for (kind, object) in events {
            rig.event(*kind, object);
        }
        rig.feed(Input::Bookmark {
            resource_version: Ok(ResourceVersion::from_revision(version)),
            initial_events_end: true,
        });
        log.take()
    };
    let first = [
        (EventKind::Added, "a@1"),
        (EventKind::Added, "b@2"),
        (EventKind::Added, "c@3"),
        (EventKind::Deleted, "b@6"),
        (EventKind::Modified, "a@7"),
    ];
    let initial = ["add a@1 initial", "add b@2 initial", "add c@3 initial"];
    let changed = ["delete b@6", "update a@1 -> a@7"];
    let told = watch_list(&mut rig, &first, 9);
    assert_eq!(told, [&initial[..], &changed].concat());
    assert_eq!(rig.seen(), "a@7 c@3 rv=9");
    rig.expire();
    let second = [
        (EventKind::Added, "a@7"),
        (EventKind::Added, "c@3"),
        (EventKind::Deleted, "c@12"),
    ];
    assert_eq!(watch_list(&mut rig, &second, 13), ["delete c@12"]);
    assert_eq!(rig.seen(), "a@7 rv=13");
}

/// A list from the past is never shown: a consistent one below our version is another history, and
/// nothing of it is believed before it was taken again.
#[test]
fn pr_f1_a_list_from_the_past_is_not_shown() {
    let (mut rig, log) = Rig::synced(&["a@80"], 100);
    log.take();
    rig.expire();
    rig.list(&["a@20", "gone@10"], 50);
    assert_eq!(rig.seen(), "a@80 rv=100");
    assert_eq!(log.take(), [""; 0]);
}

/// An item that cannot be attributed on a list, then a deletion that cannot: the list that follows
/// the deletion settles it, once every item can be read.
#[test]
fn pr_f7_an_unreadable_deletion_is_settled_by_the_next_list() {
    let (mut rig, log) = Rig::synced(&["a@1", "b@2"], 5);
    log.take();
    rig.feed(Input::Event(EventKind::Deleted, Received::Keyless));
    assert_eq!(rig.seen(), "a@1 b@2 rv=5", "nothing is guessed");
    rig.wait(90);
    rig.list(&["b@2"], 9);
    assert_eq!(log.take(), ["delete a@1 tombstone"]);
}
