//! Who is woken at once, without threads: there is one order only.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Wake, Waker},
};

use super::{
    queue::delay,
    waiting::{World, at},
};
use crate::{
    shared::{Answer, Waiter},
    workqueue::Priority,
};

/// H1: one wake-up at a time, handed on by whoever looks or gives up while keys are left.
pub fn one_is_woken_at_a_time() {
    let world = World::new();
    let mut waiters = [Waiter::NONE, Waiter::NONE, Waiter::NONE];
    let bells = [(); 3].map(|()| Arc::new(Bell(AtomicUsize::new(0))));
    let rung = || bells.each_ref().map(|bell| bell.0.load(SeqCst));
    let wakers = bells.each_ref().map(|bell| Waker::from(Arc::clone(bell)));
    for (waiter, waker) in waiters.iter_mut().zip(&wakers) {
        (world.shared).poll_get(at(0), waiter, waker);
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
    assert_eq!(rung(), [1, 0, 0], "the first has not looked yet");
    let answer = world.shared.poll_get(at(0), &mut waiters[0], &wakers[0]);
    assert!(matches!(answer, Answer::Key(_)));
    assert_eq!(rung(), [1, 1, 0], "it took one of three keys");
    world.shared.give_up(&mut waiters[1]);
    assert_eq!(rung(), [1, 1, 1], "the second did not look");
    world.shared.give_up(&mut waiters[2]);
}

/// Counts how often it is woken.
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}
