//! Every run of a small world: two objects, a few writes, a few faults, in every order, with the
//! machines as they are.
//!
//! Each state is reached by its path from the beginning, the shortest ones first, checked, and left to settle: from every state
//! the store becomes what the server has. States that behave alike are visited once. What is not
//! modelled is the length of delays, and more than one informer.
//!
//! `TIDINGS_EVERY_RUN=full` explores four writes and two faults; the tests take fewer.
//! Rules: INV-S1, INV-S2, INV-S6, INV-S7, INV-S8, INV-L1; pr 1.7.

mod server;
mod world;

use std::{
    collections::{BTreeSet, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use self::world::{Action, Bounds, World};
use crate::{delta_fifo::Order, reflector::ListMode};

/// Steps within which a world without faults is level: a list of both objects with its pages, a few
/// deadlines in a row (backoff, WatchList given up, probe and its verdict), and the watch.
const SETTLE_MAX: u32 = 60;

#[derive(Debug, Default)]
struct Explored {
    states: u64,
    runs: u64,
    blind: u64,
    settle_max: u32,
}

/// Visits every state that is reachable within the bounds.
fn explore(bounds: Bounds) -> Explored {
    let mut explored = Explored::default();
    let mut seen = BTreeSet::new();
    let mut open: VecDeque<Vec<Action>> = [Vec::new()].into();
    while let Some(path) = open.pop_front() {
        explored.runs += 1;
        let mut world = World::new(bounds);
        let mut legal = Ok(());
        for action in &path {
            world.act(*action);
            if world.is_blind {
                break;
            }
            legal = world.check();
        }
        if world.is_blind {
            explored.blind += 1;
            continue;
        }
        legal.unwrap_or_else(|broken| fail(&broken, bounds, &path));
        if !seen.insert(digest(&world.fingerprint())) {
            continue;
        }
        explored.states += 1;
        for action in world.actions() {
            let mut longer = path.clone();
            longer.push(action);
            open.push_back(longer);
        }
        let settled = world.settle(SETTLE_MAX);
        let steps = settled.unwrap_or_else(|broken| fail(&broken, bounds, &path));
        explored.settle_max = explored.settle_max.max(steps);
    }
    explored
}

fn fail<T>(broken: &str, bounds: Bounds, path: &[Action]) -> T {
    let steps: Vec<_> = path.iter().map(|action| format!("  {action:?}")).collect();
    panic!("{broken}\n{bounds:?}\n{}", steps.join("\n"));
}

/// 128 bits, so that no two states are taken for one.
fn digest(text: &str) -> (u64, u64) {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, text).hash(&mut hasher);
        hasher.finish()
    };
    (half(0), half(1))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test is told by its environment how much to run"
)]
fn is_full() -> bool {
    std::env::var("TIDINGS_EVERY_RUN").is_ok_and(|value| value == "full")
}

/// One of each: every list mode, both orders, deltas applied at once and deltas that wait.
#[test]
fn inv_l1_inv_s1_every_run_of_a_small_world_is_legal_and_settles() {
    let (writes, faults) = if is_full() { (3, 2) } else { (2, 1) };
    let modes = [
        (ListMode::Auto, Order::Arrival, true),
        (ListMode::Auto, Order::PerKey, false),
        (ListMode::Paged, Order::Arrival, false),
        (ListMode::Paged, Order::PerKey, true),
        (ListMode::Whole, Order::Arrival, false),
        (ListMode::WatchList, Order::PerKey, true),
    ];
    for (list_mode, order, lazy) in modes {
        // Waiting deltas multiply the states.
        let faults = if lazy { faults.min(1) } else { faults };
        run(Bounds {
            writes,
            faults,
            list_mode,
            order,
            lazy,
        });
    }
}

/// Two objects, four writes, two faults: the defaults of the library, completely.
#[test]
fn inv_l1_inv_s1_every_run_of_four_writes_and_two_faults() {
    let faults = if is_full() { 2 } else { 0 };
    run(Bounds {
        writes: 4,
        faults,
        list_mode: ListMode::Auto,
        order: Order::Arrival,
        lazy: false,
    });
}

fn run(bounds: Bounds) {
    let explored = explore(bounds);
    println!("{bounds:?}: {explored:?}");
    assert!(explored.states > 100, "the choices are there: {explored:?}");
}
