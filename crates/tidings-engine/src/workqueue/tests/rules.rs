//! The workqueue's rules, each as a trace.

use std::{sync::Arc, time::Duration};

use tidings_api::Instant;

use super::notation::{check, check_with};
use crate::workqueue::{Next, Priority, Reason, WorkQueue, WorkQueueConfig};

#[test]
fn cg_w1_cg_w2_a_key_that_is_added_while_it_is_worked_on_is_with_one_worker() {
    check(
        "
        t=0  add a    -> queued
        t=0  get      -> a (added, normal)
        t=0  add a    -> marked
        t=0  add a    -> deduplicated
        t=0  get      -> empty
        t=1  done a   -> queued
        t=1  get      -> a (added, normal)
        t=1  done a   -> done
        t=1  get      -> empty
        ",
    );
}

#[test]
fn cg_w2_additions_of_a_dirty_key_are_one() {
    check(
        "
        t=0  add a    -> queued
        t=0  add b    -> queued
        t=0  add a    -> deduplicated
        t=0  len      -> 2 queued, 0 worked on, 0 delayed
        t=0  get      -> a (added, normal)
        t=0  get      -> b (added, normal)
        t=0  done a   -> done
        t=0  done b   -> done
        t=0  get      -> empty
        ",
    );
}

#[test]
fn cg_w3_a_key_that_changed_meanwhile_goes_to_the_end() {
    check(
        "
        t=0  add a    -> queued
        t=0  get      -> a (added, normal)
        t=0  add b    -> queued
        t=0  add a    -> marked
        t=0  add c    -> queued
        t=0  done a   -> queued
        t=0  get      -> b (added, normal)
        t=0  get      -> c (added, normal)
        t=0  get      -> a (added, normal)
        ",
    );
}

#[test]
fn cg_w4_after_a_shutdown_what_is_queued_is_handed_out_and_nothing_is_added() {
    check(
        "
        t=0  add a       -> queued
        t=0  add b       -> queued
        t=0  shut-down   -> not drained
        t=0  add c       -> ignored
        t=0  after d 1   -> ignored
        t=0  retry e     -> ignored
        t=0  get         -> a (added, normal)
        t=0  get         -> b (added, normal)
        t=0  get         -> shut down
        t=0  drained     -> false
        t=0  done a      -> done
        t=0  done b      -> done
        t=0  drained     -> true
        t=0  len         -> 0 queued, 0 worked on, 0 delayed
        ",
    );
}

#[test]
fn cg_w5_a_drain_waits_for_what_is_queued_too() {
    check(
        "
        t=0  add a     -> queued
        t=0  drain     -> not drained
        t=0  drained   -> false
        t=0  get       -> a (added, normal)
        t=0  get       -> empty
        t=0  done a    -> done
        t=0  drained   -> true
        t=0  get       -> shut down
        ",
    );
}

#[test]
fn cg_w5_workers_stay_until_a_drain_has_done_what_became_dirty_meanwhile() {
    check(
        "
        t=0  add a      -> queued
        t=0  get        -> a (added, normal)
        t=0  add a      -> marked
        t=0  drain      -> not drained
        t=0  get        -> empty
        t=0  done a     -> queued
        t=0  drained    -> false
        t=0  get        -> a (added, normal)
        t=0  done a     -> done
        t=0  get        -> shut down
        ",
    );
}

#[test]
fn cg_w5_a_shutdown_ends_a_drain() {
    check(
        "
        t=0  add a      -> queued
        t=0  get        -> a (added, normal)
        t=0  drain      -> not drained
        t=0  get        -> empty
        t=0  shut-down  -> not drained
        t=0  get        -> shut down
        t=0  drain      -> not drained
        t=0  get        -> shut down
        ",
    );
}

#[test]
fn cg_d1_no_delay_is_an_addition() {
    check(
        "
        t=0  after a 0  -> queued
        t=0  get        -> a (after a delay, normal)
        ",
    );
}

#[test]
fn cg_d2_of_two_delays_the_one_that_ends_first_counts_in_both_orders() {
    check(
        "
        t=0  after a 5  -> delayed
        t=0  after a 2  -> delayed
        t=0  after b 2  -> delayed
        t=0  after b 5  -> deduplicated
        t=0  get        -> empty until 2s
        t=2  get        -> a (after a delay, normal)
        t=2  get        -> b (after a delay, normal)
        t=2  done a     -> done
        t=2  done b     -> done
        t=9  get        -> empty
        ",
    );
}

#[test]
fn cg_d2_what_is_due_comes_in_the_order_of_its_time_however_late_it_is_asked_for() {
    check(
        "
        t=0       after a 9999999   -> delayed
        t=0       after b 0.0005    -> delayed
        t=0       after c 70000     -> delayed
        t=0       after d 0.0004    -> delayed
        t=0       after e 300       -> delayed
        t=0       get               -> empty until 0.0004s
        t=0.0004  get               -> d (after a delay, normal)
        t=0.0004  get               -> empty until 0.0005s
        t=9999998 get               -> b (after a delay, normal)
        t=9999998 get               -> e (after a delay, normal)
        t=9999998 get               -> c (after a delay, normal)
        t=9999999 get               -> a (after a delay, normal)
        ",
    );
}

#[test]
fn cg_d4_a_delayed_key_can_be_seen_and_cancelled() {
    check(
        "
        t=0  after x/a 5       -> delayed
        t=1  status x/a        -> x/a [x] due in 4s (normal, after a delay)
        t=1  cancel-delayed b  -> false
        t=1  cancel-delayed x/a -> true
        t=1  status x/a        -> unknown
        t=9  get               -> empty
        t=9  add x/a           -> queued
        t=9  cancel x/a        -> true
        t=9  cancel x/a        -> false
        t=9  get               -> empty
        ",
    );
}

#[test]
fn cg_d4_a_shutdown_drops_what_is_delayed_at_once() {
    check(
        "
        t=0  after a 5   -> delayed
        t=0  drain       -> drained
        t=0  get         -> shut down
        t=9  len         -> 0 queued, 0 worked on, 0 delayed
        ",
    );
}

#[test]
fn cg_d5_an_addition_supersedes_a_delayed_one() {
    check(
        "
        t=0  after a 5  -> delayed
        t=1  add a      -> queued
        t=1  get        -> a (added, normal)
        t=1  done a     -> done
        t=9  get        -> empty
        ",
    );
}

#[test]
fn a_delay_that_is_asked_for_while_the_key_is_dirty_is_kept() {
    check(
        "
        t=0  add a      -> queued
        t=0  after a 5  -> delayed
        t=0  get        -> a (added, normal)
        t=0  status a   -> a worked on for 0ns, due in 5s (normal, after a delay)
        t=5  get        -> empty
        t=6  done a     -> queued
        t=6  get        -> a (after a delay, normal)
        ",
    );
}

#[test]
fn cg_l2_rate_limited_additions_are_counted_until_the_key_is_forgotten() {
    check(
        "
        t=0    retry a      -> in 1s
        t=1    get          -> a (retry 1, normal)
        t=1    retry a      -> in 2s
        t=1    done a       -> done
        t=1    requeues a   -> 2
        t=3    get          -> a (retry 2, normal)
        t=3    retry a      -> in 4s
        t=3    done a       -> done
        t=3    forget a     -> requeues 0
        t=7    get          -> a (retry 3, normal)
        t=7    retry a      -> in 1s
        t=7    done a       -> done
        t=7    retry b      -> in 1s
        ",
    );
}

#[test]
fn cancelling_a_key_does_not_touch_its_worker_or_its_failures() {
    check(
        "
        t=0  retry a    -> in 1s
        t=1  get        -> a (retry 1, normal)
        t=1  add a      -> marked
        t=1  cancel a   -> true
        t=1  requeues a -> 1
        t=1  status a   -> a worked on for 0ns, requeues 1
        t=2  done a     -> done
        t=2  get        -> empty
        t=2  forget a   -> requeues 0
        t=2  status a   -> unknown
        ",
    );
}

#[test]
fn a_key_that_is_raised_goes_to_the_end_of_its_new_level() {
    check(
        "
        t=0  add a low    -> queued
        t=0  add b high   -> queued
        t=0  add c        -> queued
        t=0  add a high   -> raised
        t=0  add b low    -> deduplicated
        t=0  get          -> b (added, high)
        t=0  get          -> a (added, high)
        t=0  get          -> c (added, normal)
        ",
    );
}

#[test]
fn a_key_that_is_raised_while_it_is_worked_on_comes_back_raised() {
    check(
        "
        t=0  add a low    -> queued
        t=0  get          -> a (added, low)
        t=0  add b        -> queued
        t=0  add a low    -> marked
        t=0  add a high   -> raised
        t=0  done a       -> queued
        t=0  get          -> a (added, high)
        t=0  get          -> b (added, normal)
        ",
    );
}

#[test]
fn a_delayed_key_keeps_the_highest_priority_that_was_asked_for() {
    check(
        "
        t=0  after a 5 high  -> delayed
        t=0  after a 3 low   -> delayed
        t=0  after b 1       -> delayed
        t=3  get             -> a (after a delay, high)
        ",
    );
}

#[test]
fn the_lowest_priority_is_served_after_so_many_others() {
    check_with(
        "
        t=0  add low low      -> queued
        t=0  add n1           -> queued
        t=0  add h1 high      -> queued
        t=0  add h2 high      -> queued
        t=0  add h3 high      -> queued
        t=0  add h4 high      -> queued
        t=0  add h5 high      -> queued
        t=0  get              -> h1 (added, high)
        t=0  get              -> h2 (added, high)
        t=0  get              -> low (added, low)
        t=0  get              -> n1 (added, normal)
        t=0  get              -> h3 (added, high)
        t=0  get              -> h4 (added, high)
        t=0  get              -> h5 (added, high)
        ",
        2,
    );
}

/// How often a level was passed over is remembered for as long as anything waits there.
#[test]
fn a_level_that_was_emptied_waits_anew_and_one_that_was_not_does_not() {
    check_with(
        "
        t=0  add low1 low   -> queued
        t=0  add low2 low   -> queued
        t=0  add a          -> queued
        t=0  add b          -> queued
        t=0  add c          -> queued
        t=0  add d          -> queued
        t=0  get            -> a (added, normal)
        t=0  get            -> b (added, normal)
        t=0  cancel low1    -> true
        t=0  get            -> low2 (added, low)
        t=0  done low2      -> done
        t=0  add low1 low   -> queued
        t=0  get            -> c (added, normal)
        t=0  add e          -> queued
        t=0  cancel low1    -> true
        t=0  add low2 low   -> queued
        t=0  get            -> d (added, normal)
        t=0  add f          -> queued
        t=0  get            -> e (added, normal)
        t=0  get            -> low2 (added, low)
        t=0  get            -> f (added, normal)
        ",
        2,
    );
}

/// N2: what a level waits for while a lower one has its turn is not held against those above it.
#[test]
fn a_level_is_passed_over_by_those_above_it_alone() {
    check_with(
        "
        t=0  add low1 low   -> queued
        t=0  add n1         -> queued
        t=0  add n2         -> queued
        t=0  add n3         -> queued
        t=0  get            -> n1 (added, normal)
        t=0  get            -> n2 (added, normal)
        t=0  get            -> low1 (added, low)
        t=0  add h1 high    -> queued
        t=0  add h2 high    -> queued
        t=0  add h3 high    -> queued
        t=0  get            -> h1 (added, high)
        t=0  get            -> h2 (added, high)
        t=0  get            -> n3 (added, normal)
        t=0  get            -> h3 (added, high)
        ",
        2,
    );
}

#[test]
fn tenants_of_one_priority_are_served_in_turn() {
    check(
        "
        t=0  add x/1     -> queued
        t=0  add x/2     -> queued
        t=0  add x/3     -> queued
        t=0  add y/1     -> queued
        t=0  add z/1     -> queued
        t=0  add z/2     -> queued
        t=0  get         -> x/1 (added, normal)
        t=0  get         -> y/1 (added, normal)
        t=0  get         -> z/1 (added, normal)
        t=0  add y/2     -> queued
        t=0  get         -> x/2 (added, normal)
        t=0  cancel x/3  -> true
        t=0  get         -> z/2 (added, normal)
        t=0  get         -> y/2 (added, normal)
        t=0  get         -> empty
        ",
    );
}

/// A queue of small clients, for what the notation does not show.
/// A tenant goes with its last key, and its name means nothing any more: whoever comes next under it,
/// or in its place, begins anew.
#[test]
fn a_tenant_is_there_for_as_long_as_it_has_keys() {
    let mut queue: WorkQueue<Arc<str>> = WorkQueue::new(WorkQueueConfig {
        tenant: Some(Box::new(|key: &Arc<str>| {
            key.split_once('/').map_or("", |(tenant, _)| tenant)
        })),
        ..WorkQueueConfig::default()
    });
    let names = ["a/1", "a/2", "b/1", "c/1"].map(Arc::<str>::from);
    for round in 0..3 {
        for key in &names {
            queue.add(at(round), key);
        }
        assert_eq!(queue.stats(at(round)).tenants, 3);
        let status = queue.status(at(round), &names[2]).unwrap();
        assert_eq!(status.tenant, "b");
        for tenants in [3, 2, 1, 0] {
            // By the turn of the tenants: a, b, c and the second of a.
            let Next::Key(taken) = queue.get(at(round)) else {
                panic!("{tenants} tenants are left");
            };
            queue.done(at(round), taken.ticket);
            queue.check_invariants();
            assert_eq!(queue.stats(at(round)).tenants, tenants);
        }
        let stats = queue.stats(at(round));
        assert_eq!((stats.tenants, stats.tracked), (0, 0));
    }
}

#[test]
fn cg_d4_all_keys_can_be_listed_up_to_a_number() {
    let mut queue = queue();
    let keys = ["a", "b", "c"].map(Arc::<str>::from);
    queue.add(at(0), &keys[0]);
    queue.add_after(at(0), &keys[1], Duration::from_secs(9));
    queue.add_rate_limited(at(0), &keys[2]);
    let mut lines: Vec<String> = queue
        .dump(at(2), 10)
        .iter()
        .map(ToString::to_string)
        .collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "a waits 2s (normal, added)",
            "b due in 7s (normal, after a delay)",
            "c due in 0ns (normal, retry 1), requeues 1",
        ]
    );
    assert_eq!(
        (queue.dump(at(2), 2).len(), queue.dump(at(2), 0).len()),
        (2, 0)
    );
    assert_eq!(queue.status(at(2), &"z".into()), None);
}

fn queue() -> WorkQueue<Arc<str>> {
    WorkQueue::new(WorkQueueConfig::default())
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

#[test]
fn the_counters_are_those_of_client_go() {
    let mut queue = queue();
    let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
    queue.add(at(0), &a);
    queue.add(at(0), &a);
    queue.add(at(1), &b);
    let stats = queue.stats(at(1));
    assert_eq!(
        (stats.adds, stats.deduplicated, stats.depth),
        (2, 1, [0, 2, 0])
    );
    let Next::Key(first) = queue.get(at(3)) else {
        panic!("a waits");
    };
    let Next::Key(second) = queue.get(at(4)) else {
        panic!("b waits");
    };
    let stats = queue.stats(at(6));
    assert_eq!(stats.unfinished_work, Duration::from_secs(3 + 2));
    assert_eq!(stats.longest_running, Duration::from_secs(3));
    assert_eq!((stats.taken, stats.processing), (2, 2));
    assert_eq!(queue.processing_len(), 2);
    assert_eq!(stats.queue_duration.sum(), Duration::from_secs(3 + 3));
    queue.done(at(13), first.ticket);
    queue.done(at(6), second.ticket);
    let stats = queue.stats(at(13));
    assert_eq!(stats.work_duration.count(), 2);
    assert_eq!(stats.work_duration.sum(), Duration::from_secs(10 + 2));
    // One took ten seconds, which is a bound, and one two.
    let within: Vec<_> = stats
        .work_duration
        .buckets()
        .map(|(_, count)| count)
        .collect();
    assert_eq!(within, [0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2]);
    assert_eq!((stats.unfinished_work, stats.tracked), (Duration::ZERO, 0));
    assert_eq!(queue.processing_len(), 0);
    queue.add_after(at(13), &a, Duration::from_secs(1));
    assert_eq!(queue.stats(at(13)).retries, 1);
    queue.shut_down();
    queue.add(at(13), &a);
    queue.add_after(at(13), &a, Duration::from_secs(1));
    assert_eq!(queue.add_rate_limited(at(13), &a), None);
    let stats = queue.stats(at(13));
    assert_eq!((stats.delays_dropped, stats.ignored), (1, 3));
}

#[test]
fn durations_are_counted_under_the_least_bound_that_holds_them() {
    let count = |nanos: u64| {
        let mut queue = queue();
        queue.add(Instant::ZERO, &"a".into());
        assert!(matches!(
            queue.get(Instant::from_nanos(nanos)),
            Next::Key(_)
        ));
        let waited = queue.stats(Instant::ZERO).queue_duration;
        assert_eq!(
            (waited.count(), waited.sum()),
            (1, Duration::from_nanos(nanos))
        );
        let mut holding = waited.buckets().filter(|(_, count)| *count == 1);
        holding.next().map(|(bound, _)| bound)
    };
    for power in 1..=12 {
        let bound = 10_u64.pow(power);
        let this = Some(Duration::from_nanos(bound));
        assert_eq!(count(bound), this);
        assert_eq!(count(bound - 1), this);
        assert_eq!(count(bound / 10 + 1), this);
    }
    assert_eq!(count(0), Some(Duration::from_nanos(10)));
    assert_eq!(count(1_000_000_000_001), None, "longer than the last bound");
    assert_eq!(count(u64::MAX), None);
    for bits in 1..40 {
        let bound = count(1 << bits).expect("it is short").as_nanos();
        assert!(bound >= 1 << bits && (bound <= 10 || bound / 10 < 1 << bits));
    }
}

#[test]
fn cancellations_are_counted_once_a_key() {
    let mut queue = queue();
    let key: Arc<str> = "a".into();
    queue.add(at(0), &key);
    queue.add_after(at(0), &key, Duration::from_secs(9));
    assert!(queue.cancel("a") && !queue.cancel("a"));
    assert_eq!(queue.stats(at(0)).cancelled, 1);
    // Only queued, and only delayed.
    queue.add(at(0), &key);
    assert!(queue.cancel("a"));
    queue.add_after(at(0), &key, Duration::from_secs(9));
    assert_eq!(queue.next_wake(), Some(at(9)));
    assert!(queue.cancel("a"));
    assert_eq!((queue.stats(at(0)).cancelled, queue.next_wake()), (3, None));
    // Failures alone are nothing to cancel.
    queue.add_rate_limited(at(0), &key);
    assert!(queue.cancel_delayed("a") && !queue.cancel_delayed("a") && !queue.cancel("a"));
    assert_eq!(queue.stats(at(0)).cancelled, 4);
}

#[test]
fn a_queue_and_its_choices_can_be_printed() {
    let config = WorkQueueConfig::<Arc<str>>::default();
    assert_eq!(
        format!("{config:?}"),
        "WorkQueueConfig { tenants: false, patience: 16, .. }"
    );
    let mut queue = queue();
    queue.add(at(0), &"a".into());
    queue.add_after(at(0), &"b".into(), Duration::from_secs(1));
    assert_eq!(
        format!("{queue:?}"),
        "WorkQueue { queued: 1, processing: 0, delayed: 1, shutdown: No, .. }"
    );
}

#[test]
fn a_ticket_does_not_reach_a_later_occupant_of_its_slot() {
    let (mut one, mut other) = (queue(), queue());
    one.add(at(0), &"a".into());
    let Next::Key(taken) = one.get(at(0)) else {
        panic!("a waits");
    };
    assert_eq!(taken.reason, Reason::Added);
    // The same number in another queue, where nobody works.
    other.add(at(0), &"b".into());
    other.cancel("b");
    assert!(other.slots.redeem(&taken.ticket).is_none());
    assert!(!one.done(at(0), taken.ticket));
}

#[test]
fn nothing_is_kept_of_a_key_that_is_done() {
    let mut queue = queue();
    for round in 0..10_000 {
        let key: Arc<str> = format!("key-{round}").into();
        queue.add(at(round), &key);
        let Next::Key(taken) = queue.get(at(round)) else {
            panic!("it waits");
        };
        queue.done(at(round), taken.ticket);
        assert_eq!(Arc::strong_count(&key), 2, "the key and what was taken");
    }
    assert_eq!(queue.stats(at(0)).tracked, 0);
    queue.check_invariants();
}

#[test]
fn a_limiter_or_a_tenant_function_that_panics_loses_no_key() {
    let mut queue: WorkQueue<Arc<str>> = WorkQueue::new(WorkQueueConfig {
        limiter: Box::new(|_: Instant, _: u32| -> Duration { panic!("the limiter's own fault") }),
        tenant: Some(Box::new(|_: &Arc<str>| panic!("the function's own fault"))),
        ..WorkQueueConfig::default()
    });
    let key: Arc<str> = "a".into();
    queue.add(at(0), &key);
    let Next::Key(taken) = queue.get(at(0)) else {
        panic!("a waits");
    };
    assert_eq!(
        queue.add_rate_limited(at(0), &key),
        Some(Duration::from_secs(1))
    );
    queue.done(at(0), taken.ticket);
    queue.check_invariants();
    assert!(matches!(queue.get(at(1)), Next::Key(_)));
}

#[test]
fn a_rate_limited_addition_does_not_come_before_the_callers_delay() {
    let mut queue: WorkQueue<Arc<str>> = WorkQueue::new(WorkQueueConfig {
        limiter: Box::new(|_: Instant, attempt: u32| Duration::from_secs(attempt.into())),
        ..WorkQueueConfig::default()
    });
    let (key, wait) = (Arc::from("a"), Duration::from_secs(5));
    let mut add = |now| queue.add_rate_limited_not_before(now, &key, Priority::Normal, wait);
    // The limiter says zero, then one second; the caller five.
    assert_eq!(add(at(0)), Some(wait));
    assert_eq!(add(at(0)), Some(wait));
    assert!(matches!(queue.get(at(4)), Next::Empty { .. }));
    assert!(matches!(queue.get(at(5)), Next::Key(_)));
    assert_eq!(queue.num_requeues("a"), 2);
}
