//! Both orders against the rules and against a naive model.

use proptest::prelude::*;
use tidings_api::{Object, ResourceVersion};

use super::*;
use crate::{
    delta::Replaced,
    entry::{Entry, Value},
};

fn entry(key: &str, version: u64) -> Entry<()> {
    let object = Object::bare("", key, "u", &version.to_string());
    // Some keys collide.
    let hash = u64::from(key.as_bytes()[0] % 3).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Entry::new(hash, object, Value::Decoded(()))
}

/// `+a1` added, `~a2` updated, `-a3` deleted, `b4` bookmark, `{`, `=a5` item, `}6` end, `s` sync.
fn delta(text: &str) -> Delta<()> {
    let key = text.get(1..2).unwrap_or_default();
    let number = |from: usize| text.get(from..).and_then(|n| n.parse().ok()).unwrap_or(0);
    match &text[..1] {
        "+" => Delta::Added(entry(key, number(2))),
        "~" => Delta::Updated(entry(key, number(2))),
        "-" => Delta::Deleted(entry(key, number(2))),
        "=" => Delta::Replaced(Replaced::Item(entry(key, number(2)))),
        "{" => Delta::Replaced(Replaced::Begin { force_diff: false }),
        "}" => Delta::Replaced(Replaced::End {
            resource_version: ResourceVersion::from_revision(number(1)),
            epoch: 0,
            sweep: true,
        }),
        "s" => Delta::Sync,
        _ => Delta::Bookmark(ResourceVersion::from_revision(number(1))),
    }
}

fn fill(order: Order, script: &str) -> DeltaFifo<()> {
    let mut fifo = DeltaFifo::new(order, 1000);
    for text in script.split_whitespace() {
        fifo.push(delta(text)).unwrap();
        fifo.check_invariants();
    }
    fifo
}

fn drain(fifo: &mut DeltaFifo<()>, len_max: usize) -> Vec<String> {
    let mut out = Vec::new();
    let mut printed = Vec::new();
    while fifo.pop_batch(len_max, &mut out) > 0 {
        fifo.check_invariants();
        printed.extend(out.drain(..).map(|delta| delta.to_string()));
    }
    printed
}

fn check(order: Order, script: &str, expected: &[&str]) {
    assert_eq!(drain(&mut fill(order, script), 1), expected, "{script}");
    assert_eq!(
        drain(&mut fill(order, script), 100),
        expected,
        "{script}, in one batch"
    );
}

#[test]
fn cg_q1_arrival_order_keeps_every_delta_in_order() {
    check(
        Order::Arrival,
        "+a1 +b2 ~a3 -b4 -b5 b6",
        &[
            "added a@1",
            "added b@2",
            "updated a@3",
            "deleted b@4",
            "deleted b@5",
            "bookmark 6",
        ],
    );
}

#[test]
fn cg_f1_per_key_order_gathers_a_keys_deltas_at_its_first() {
    check(
        Order::PerKey,
        "+a1 +b2 ~a3 +c4 -b5",
        &[
            "added a@1",
            "updated a@3",
            "added b@2",
            "deleted b@5",
            "added c@4",
        ],
    );
}

#[test]
fn cg_f1_two_deletes_in_a_row_are_one_the_older() {
    check(Order::PerKey, "+a1 -a2 -a3", &["added a@1", "deleted a@2"]);
    check(
        Order::PerKey,
        "-a2 +a3 -a4",
        &["deleted a@2", "added a@3", "deleted a@4"],
    );
}

#[test]
fn a_key_that_was_popped_begins_anew_no_line_jumping() {
    let mut fifo = fill(Order::PerKey, "+a1 +b2");
    let mut out = Vec::new();
    assert_eq!(fifo.pop_batch(1, &mut out), 1);
    fifo.push(delta("~a3")).unwrap();
    fifo.check_invariants();
    assert_eq!(drain(&mut fifo, 1), ["added b@2", "updated a@3"]);
}

#[test]
fn cg_f4_a_relist_is_a_barrier_that_no_delta_crosses() {
    check(
        Order::PerKey,
        "+a1 { =a2 =b3 }4 ~a5 s ~a6",
        &[
            "added a@1",
            "replace{",
            "a@2",
            "b@3",
            "} rv=4 epoch=0",
            "updated a@5",
            "sync",
            "updated a@6",
        ],
    );
}

#[test]
fn a_full_queue_hands_the_delta_back_under_both_orders() {
    for order in [Order::Arrival, Order::PerKey] {
        let mut fifo = DeltaFifo::new(order, 3);
        assert!(fifo.is_empty() && fifo.order() == order);
        for text in ["+a1", "+b2", "~a3"] {
            assert!(!fifo.is_full(), "{order:?}");
            fifo.push(delta(text)).unwrap();
            assert!(!fifo.is_empty(), "{order:?}");
        }
        assert!(fifo.is_full());
        let Full(back) = fifo.push(delta("+c4")).unwrap_err();
        assert_eq!(back.to_string(), "added c@4");
        assert_eq!((fifo.depth(), fifo.depth_peak()), (3, 3));
        let mut out = Vec::new();
        fifo.pop_batch(1, &mut out);
        fifo.push(back).unwrap();
        let rest = drain(&mut fifo, 10);
        assert_eq!(rest.last().unwrap(), "added c@4", "{order:?}");
        assert!(fifo.is_empty());
    }
}

#[test]
fn cg_q6_a_batch_never_tears_a_keys_deltas_apart() {
    let mut fifo = fill(Order::PerKey, "+a1 ~a2 ~a3 +b4");
    let mut out = Vec::new();
    assert_eq!(fifo.pop_batch(2, &mut out), 3);
    assert_eq!(fifo.pop_batch(2, &mut out), 1);
}

/// The queue keeps what no store knows: only the consumer looks at the store.
#[test]
fn cg_q4_the_queue_keeps_deltas_of_keys_that_no_store_knows() {
    for order in [Order::Arrival, Order::PerKey] {
        check(
            order,
            "-x1 ~y2 { }3 s b4 -z5",
            &[
                "deleted x@1",
                "updated y@2",
                "replace{",
                "} rv=3 epoch=0",
                "sync",
                "bookmark 4",
                "deleted z@5",
            ],
        );
    }
}

/// Popping takes the queue for itself, so there is one consumer at a time; and what it took is the
/// consumer's alone.
#[test]
fn cg_q8_there_is_one_consumer_and_the_queue_keeps_nothing_of_what_it_took() {
    type Payload = std::sync::Arc<()>;
    // Compiles only as long as popping needs the queue exclusively.
    let pop: fn(&mut DeltaFifo<Payload>, usize, &mut Vec<Delta<Payload>>) -> usize =
        DeltaFifo::pop_batch;
    for order in [Order::Arrival, Order::PerKey] {
        let payload = Payload::default();
        let mut fifo = DeltaFifo::new(order, 10);
        for version in ["1", "2", "3"] {
            let object = Object::bare("", "a", "u", version);
            let entry = Entry::new(0, object, Value::Decoded(Payload::clone(&payload)));
            fifo.push(Delta::Updated(entry)).unwrap();
        }
        let mut out = Vec::new();
        while pop(&mut fifo, 1, &mut out) > 0 {}
        assert_eq!((out.len(), Payload::strong_count(&payload)), (3, 4));
        out.clear();
        assert_eq!(Payload::strong_count(&payload), 1, "{order:?}");
    }
}

/// One batch is at most `len_max` deltas, but for those of one key; however it is cut, the order is
/// the same.
#[test]
fn cg_q6_a_batch_has_its_bound() {
    let mut fifo = fill(Order::Arrival, "+a1 ~a2 +b3 +c4 +d5");
    let mut out = Vec::new();
    let taken = [0; 4].map(|_| fifo.pop_batch(2, &mut out));
    assert_eq!(taken, [2, 2, 1, 0]);
    assert_eq!(crate::pipeline::PipelineConfig::default().batch_max, 1000);
}

proptest! {
    /// Q1 for both orders, Q2 for arrival order: the naive model is the list of what went in.
    #[test]
    fn each_keys_deltas_come_out_as_they_went_in(
        ops in prop::collection::vec((0..3_u8, 0..4_usize, any::<bool>()), 0..60),
        batch in 1..5_usize,
    ) {
        for order in [Order::Arrival, Order::PerKey] {
            let mut fifo = DeltaFifo::new(order, 1000);
            let (mut pushed, mut popped) = (Vec::new(), Vec::new());
            let mut out = Vec::new();
            for (version, (kind, key, pop)) in ops.iter().enumerate() {
                // No deletes here: per-key order merges them, which another test covers.
                let sign = ["+", "~", "="][usize::from(*kind)];
                let text = format!("{sign}{}{version}", ["a", "b", "c", "d"][*key]);
                pushed.push(delta(&text).to_string());
                fifo.push(delta(&text)).unwrap();
                if *pop {
                    fifo.pop_batch(batch, &mut out);
                }
                fifo.check_invariants();
            }
            while fifo.pop_batch(batch, &mut out) > 0 {}
            popped.extend(out.iter().map(ToString::to_string));
            if order == Order::Arrival {
                prop_assert_eq!(&popped, &pushed);
            }
            for key in ["a@", "b@", "c@", "d@"] {
                let of = |all: &[String]| -> Vec<String> {
                    all.iter().filter(|text| text.contains(key)).cloned().collect()
                };
                prop_assert_eq!(of(&popped), of(&pushed));
            }
        }
    }
}
