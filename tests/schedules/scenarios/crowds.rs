//! Six threads and more at a queue.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use super::waiting::{Key, World, at};
use crate::{checker::spawn, shared::Waiter};

const PRODUCERS: u8 = 3;
const WORKERS: usize = 3;

/// K3, with workers that give up, keys that are taken back, and a drain.
pub fn every_last_change_is_worked_on_after_it_happened() {
    let world = World::new();
    let workers = [(); WORKERS].map(|()| {
        let world = Arc::clone(&world);
        spawn(move || {
            let mut waiter = Waiter::NONE;
            if let Some(taken) = world.ask(&mut waiter) {
                world.done(taken);
            }
            world.shared.give_up(&mut waiter);
            // This one was on the list before it waits.
            if world
                .ask(&mut waiter)
                .map(|taken| world.done(taken))
                .is_none()
                && let Some(taken) = world.get_as(&mut waiter, at(0))
            {
                world.done(taken);
            }
            world.work(at(0));
        })
    });
    let producers = [0, 1, 2].map(|own: u8| {
        let world = Arc::clone(&world);
        spawn(move || {
            for turn in 0..3 {
                let key = (own + turn) % PRODUCERS;
                if turn == 1 {
                    // What is taken back is asked for again.
                    world.shared.with(|queue| queue.cancel(&key));
                }
                world.change(key);
            }
        })
    });
    for producer in producers {
        producer.join().expect("it ends");
    }
    world.drain();
    world.assert_drained();
    for worker in workers {
        worker.join().expect("it ends");
    }
}

/// H2, with delays that end in another order than they were asked for, and keys between them.
pub fn every_delayed_key_is_worked_on_once() {
    const EACH: u8 = 4;
    let queue = World::new();
    let left = Arc::new(AtomicUsize::new(usize::from(2 * EACH)));
    let workers = [(); WORKERS].map(|()| {
        let (world, left) = (Arc::clone(&queue), Arc::clone(&left));
        spawn(move || {
            let mut count = 0;
            while let Some(taken) = world.get(at(1_000)) {
                world.done(taken);
                count += 1;
                if left.fetch_sub(1, SeqCst) == 1 {
                    world.shared.shut_down();
                }
            }
            count
        })
    });
    let producers = [0, 1].map(|own: Key| {
        let world = Arc::clone(&queue);
        spawn(move || {
            for turn in 0..EACH {
                let key = own * EACH + turn;
                let delay = Duration::from_nanos(u64::from(9 - turn) * 10 * u64::from(turn % 3));
                world
                    .shared
                    .with(|queue| queue.add_after(at(0), &key, delay));
            }
        })
    });
    for producer in producers {
        producer.join().expect("it ends");
    }
    let counts = workers.map(|worker| worker.join().expect("it ends"));
    assert_eq!(counts.iter().sum::<usize>(), usize::from(2 * EACH));
}
