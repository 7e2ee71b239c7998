//! Who is woken at once, without threads: there is one order only.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Wake, Waker},
};

use tidings_engine::workqueue::Priority;

use super::{
    scenarios::delay,
    shared::Waiter,
    waiting::{World, at},
};

/// H1: a wake-up for each key at once, and none in vain.
pub(super) fn as_many_are_woken_as_there_are_keys() {
    let world = World::new();
    let mut waiters = [Waiter::NONE, Waiter::NONE, Waiter::NONE];
    let bells = [(); 3].map(|()| Arc::new(Bell(AtomicUsize::new(0))));
    let rung = || bells.each_ref().map(|bell| bell.0.load(SeqCst));
    for (waiter, bell) in waiters.iter_mut().zip(&bells) {
        let waker = Waker::from(Arc::clone(bell));
        (world.shared).poll_get(at(0), waiter, &waker);
    }
    world.change(1);
    world.change(1);
    assert_eq!(rung(), [1, 0, 0], "one key, one worker");
    // Who is on its way will keep the time.
    delay(&world, 3, 9);
    assert_eq!(rung(), [1, 0, 0]);
    world
        .shared
        .add_all(at(0), [1, 2, 4].iter(), Priority::Normal);
    assert_eq!(
        rung(),
        [1, 1, 1],
        "two more keys, before anybody has looked"
    );
    for waiter in &mut waiters {
        world.shared.give_up(waiter);
    }
}

/// Counts how often it is woken.
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}
