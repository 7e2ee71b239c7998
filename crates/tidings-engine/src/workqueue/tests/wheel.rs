//! The timing wheel against a sorted map.

use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;
use tidings_api::Instant;

use crate::workqueue::delay::Wheel;

#[derive(Clone, Debug)]
enum Op {
    Insert(u32, u64),
    Remove(u32),
    Advance(u64),
    /// To just before, at, or just after what is due next.
    AdvanceToNext(i8),
}

/// Spans from nanoseconds to years: each power of two as likely as the other.
fn span() -> impl Strategy<Value = u64> {
    (0_u32..57, any::<u64>()).prop_map(|(bits, value)| value & ((1 << bits) - 1))
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0_u32..50, span()).prop_map(|(id, after)| Op::Insert(id, after)),
        2 => (0_u32..50).prop_map(Op::Remove),
        2 => span().prop_map(Op::Advance),
        3 => (-1_i8..=1).prop_map(Op::AdvanceToNext),
    ]
}

proptest! {
    #[test]
    fn what_is_due_is_handed_out_in_order_and_nothing_before_its_time(
        ops in prop::collection::vec(op(), 0..200),
    ) {
        let mut wheel = Wheel::new();
        let mut model = BTreeSet::new();
        let mut now = 0_u64;
        for op in ops {
            match op {
                Op::Insert(id, after) => {
                    if wheel.due_at(id).is_none() {
                        let at = now.saturating_add(after);
                        wheel.insert(id, Instant::from_nanos(at));
                        model.insert((at, id));
                    }
                }
                Op::Remove(id) => {
                    let before = model.len();
                    model.retain(|(_, other)| *other != id);
                    prop_assert_eq!(wheel.remove(id), model.len() < before);
                }
                Op::Advance(by) => now = now.saturating_add(by),
                Op::AdvanceToNext(offset) => {
                    if let Some((at, _)) = model.first() {
                        now = now.max(at.saturating_add_signed(offset.into()));
                    }
                }
            }
            let at = Instant::from_nanos(now);
            let due = model.iter().take_while(|(at, _)| *at <= now).count();
            prop_assert!(due == 0 || !wheel.is_quiet_at(at));
            let mut ripe = Vec::new();
            wheel.advance(at, &mut ripe);
            let wanted: Vec<u32> = (0..due).filter_map(|_| model.pop_first()).map(|it| it.1).collect();
            prop_assert_eq!(ripe, wanted);
            prop_assert_eq!(wheel.len(), model.len());
            let next = model.first().map(|(at, _)| Instant::from_nanos(*at));
            match (wheel.next_wake(), next) {
                (Some(wake), Some(next)) => prop_assert!(wake <= next && wake > at),
                (wake, next) => prop_assert_eq!(wake.is_some(), next.is_some()),
            }
        }
    }
}

#[test]
fn a_wheel_that_is_woken_when_it_asks_hands_everything_out_in_time() {
    let mut wheel = Wheel::new();
    let delays = [
        1,
        999_999,
        1_000_000,
        255_999_999,
        256_000_000,
        65_536_000_000,
        1 << 52,
        1 << 60,
    ];
    for (id, at) in (0..).zip(delays) {
        wheel.insert(id, Instant::from_nanos(at));
    }
    let (mut ripe, mut wakes) = (Vec::new(), 0);
    while let Some(wake) = wheel.next_wake() {
        wheel.advance(wake, &mut ripe);
        wakes += 1;
        for id in ripe.drain(..) {
            assert_eq!(
                wake.as_nanos(),
                delays[id as usize],
                "in time, to the nanosecond"
            );
        }
        assert!(wakes < 1000, "it asks for few wakes");
    }
}

#[test]
fn a_clock_that_another_thread_read_earlier_loses_nothing() {
    let mut wheel = Wheel::new();
    let at = |ms| Instant::ZERO + Duration::from_millis(ms);
    let mut ripe = Vec::new();
    wheel.advance(at(1000), &mut ripe);
    wheel.insert(1, at(999));
    wheel.insert(2, at(1001));
    wheel.advance(at(999), &mut ripe);
    assert_eq!(ripe, [1]);
    wheel.advance(at(1001), &mut ripe);
    assert_eq!(ripe, [1, 2]);
}
