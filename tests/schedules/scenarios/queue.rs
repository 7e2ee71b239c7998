//! Two or three threads at a queue: each ends in every order, or somebody was forgotten.

use std::{sync::Arc, time::Duration};

use super::waiting::{World, at};
use crate::{checker::spawn, shared::Waiter, workqueue::Priority};

/// H1: an addition while a worker goes to sleep.
pub fn an_addition_wakes_who_waits() {
    let world = World::new();
    let worker = spawn({
        let world = Arc::clone(&world);
        move || world.get(at(0)).map(|taken| taken.key)
    });
    world.change(1);
    assert_eq!(worker.join().expect("it ends"), Some(1));
}

/// H1: keys that come together reach as many workers, one wake-up after the other.
pub fn two_keys_wake_two_workers() {
    let world = World::new();
    let workers = [(); 2].map(|()| {
        let world = Arc::clone(&world);
        spawn(move || world.get(at(0)).map(|taken| taken.key))
    });
    world.shared.add_all(at(0), [1, 2].iter(), Priority::Normal);
    let mut keys = workers.map(|worker| worker.join().expect("it ends"));
    keys.sort();
    assert_eq!(keys, [Some(1), Some(2)]);
}

/// H1: the same with one addition after the other.
pub fn two_additions_wake_two_workers() {
    let world = World::new();
    let workers = [(); 2].map(|()| {
        let world = Arc::clone(&world);
        spawn(move || world.get(at(0)).map(|taken| taken.key))
    });
    world.change(1);
    world.change(2);
    let mut keys = workers.map(|worker| worker.join().expect("it ends"));
    keys.sort();
    assert_eq!(keys, [Some(1), Some(2)]);
}

/// H1: who gives up may have been woken for a key, which another one then gets.
pub fn who_gives_up_hands_on() {
    let world = World::new();
    let fickle = spawn({
        let world = Arc::clone(&world);
        move || {
            let mut waiter = Waiter::NONE;
            if let Some(taken) = world.ask(&mut waiter) {
                world.change(1);
                world.done(taken);
            }
            world.shared.give_up(&mut waiter);
        }
    });
    let worker = spawn({
        let world = Arc::clone(&world);
        move || world.get(at(0)).map(|taken| taken.key)
    });
    world.change(1);
    fickle.join().expect("it ends");
    assert_eq!(worker.join().expect("it ends"), Some(1));
}

/// A key that becomes dirty while it is worked on comes back to whoever waits meanwhile.
pub fn what_became_dirty_meanwhile_comes_back() {
    let world = World::new();
    world.change(1);
    let workers = [(); 2].map(|()| {
        let world = Arc::clone(&world);
        spawn(move || {
            let taken = world.get(at(0)).expect("nobody shuts it down");
            world.done(taken);
            // One of the two stays without a key, unless there was a change while the other worked.
            world.change(2);
        })
    });
    world.change(1);
    for worker in workers {
        worker.join().expect("it ends");
    }
}

/// cg-W5: a drain ends when what was queued, and what its workers added before it, is done.
pub fn a_drain_ends_when_everything_is_done() {
    let world = World::new();
    world.change(1);
    let worker = spawn({
        let world = Arc::clone(&world);
        move || {
            if let Some(taken) = world.get(at(0)) {
                // Nobody has drained the queue yet, or this is ignored.
                world.shared.with(|queue| queue.add(at(0), &taken.key));
                world.done(taken);
            }
            world.work(at(0))
        }
    });
    world.drain();
    world.assert_drained();
    worker.join().expect("it ends");
}

/// cg-W6: two that drain both hear of the end.
pub fn two_drains_both_end() {
    let world = World::new();
    world.change(1);
    world.change(2);
    let drains = [(); 2].map(|()| {
        let world = Arc::clone(&world);
        spawn(move || {
            world.drain();
            world.assert_drained();
        })
    });
    world.work(at(0));
    for drain in drains {
        drain.join().expect("it ends");
    }
}

/// H3: a shutdown wakes everybody.
pub fn a_shutdown_wakes_everybody() {
    let world = World::new();
    let workers = [(); 2].map(|()| {
        let world = Arc::clone(&world);
        spawn(move || world.work(at(0)))
    });
    world.shared.shut_down();
    for worker in workers {
        assert_eq!(worker.join().expect("it ends"), 0);
    }
}

/// cg-W5: a shutdown ends a drain for which nobody works.
pub fn a_shutdown_ends_drains() {
    let world = World::new();
    world.change(1);
    let drains = [(); 2].map(|()| {
        let world = Arc::clone(&world);
        spawn(move || world.drain())
    });
    world.shared.shut_down();
    for drain in drains {
        drain.join().expect("it ends");
    }
}

/// A cancellation can be the end of a drain, for workers too.
pub fn a_cancellation_ends_a_drain() {
    let world = World::new();
    world.shared.with(|queue| queue.add(at(0), &1));
    let drain = spawn({
        let world = Arc::clone(&world);
        move || world.drain()
    });
    world.shared.drain();
    assert!(world.shared.with(|queue| queue.cancel(&1)));
    drain.join().expect("it ends");
    assert_eq!(world.work(at(0)), 0);
}

/// H2: who keeps the time may give up.
pub fn the_time_is_kept_when_its_keeper_gives_up() {
    let world = World::new();
    delay(&world, 3, 1);
    let fickle = spawn({
        let world = Arc::clone(&world);
        move || {
            let mut waiter = Waiter::NONE;
            assert!(world.ask(&mut waiter).is_none(), "it is not due");
            world.shared.give_up(&mut waiter);
        }
    });
    let worker = spawn({
        let world = Arc::clone(&world);
        move || world.get(at(1)).map(|taken| taken.key)
    });
    fickle.join().expect("it ends");
    assert_eq!(worker.join().expect("it ends"), Some(3));
}

/// H2: who keeps the time may be handed another key.
pub fn the_time_is_kept_when_its_keeper_has_work() {
    let world = World::new();
    delay(&world, 3, 1);
    let workers = [(); 2].map(|()| {
        let world = Arc::clone(&world);
        spawn(move || world.get(at(1)).map(|taken| taken.key))
    });
    world.change(1);
    let mut keys = workers.map(|worker| worker.join().expect("it ends"));
    keys.sort();
    assert_eq!(keys, [Some(1), Some(3)]);
}

/// H2: a delay that ends before the keeper's alarm, which is beyond the clock and never rings.
pub fn an_earlier_delay_moves_the_alarm() {
    let world = World::new();
    delay(&world, 3, 9_000_000);
    let workers = [(); 2].map(|()| {
        let world = Arc::clone(&world);
        spawn(move || world.get(at(5)).map(|taken| taken.key))
    });
    delay(&world, 1, 5);
    delay(&world, 2, 5);
    let mut keys = workers.map(|worker| worker.join().expect("it ends"));
    keys.sort();
    assert_eq!(keys, [Some(1), Some(2)]);
}

/// Adds a key after a delay.
pub(super) fn delay(world: &World, key: u8, nanos: u64) {
    let delay = Duration::from_nanos(nanos);
    (world.shared).with(|queue| queue.add_after(at(0), &key, delay));
}
