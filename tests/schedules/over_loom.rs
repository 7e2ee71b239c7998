//! The scenarios of few threads, in every order with at most three preemptions.

mod sync {
    //! loom's locks, in the form of the queue's.

    pub(super) use loom::thread::spawn;

    use loom::sync::{Condvar as Inner, Mutex as Lock, MutexGuard};

    pub(super) struct Mutex<T>(Lock<T>);

    impl<T> Mutex<T> {
        pub(super) fn new(value: T) -> Self {
            Self(Lock::new(value))
        }

        pub(super) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("a panic ends the run")
        }
    }

    pub(super) struct Condvar(Inner);

    impl Condvar {
        pub(super) fn new() -> Self {
            Self(Inner::new())
        }

        pub(super) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
            self.0.wait(guard).expect("a panic ends the run")
        }

        pub(super) fn notify(&self) {
            self.0.notify_one();
        }
    }
}

#[path = "scenarios.rs"]
mod scenarios;
#[expect(dead_code, reason = "the scenarios use its part")]
#[path = "../../crates/tidings/src/workqueue/shared.rs"]
mod shared;
#[path = "waiting.rs"]
mod waiting;
mod wakes;

/// Runs a scenario in every order.
fn every_order(scenario: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(scenario);
}

macro_rules! in_every_order {
    ($($room:ident::$name:ident)*) => {$(
        #[test]
        fn $name() {
            every_order($room::$name);
        }
    )*};
}

in_every_order! {
    scenarios::an_addition_wakes_who_waits
    scenarios::two_keys_wake_two_workers
    scenarios::two_additions_wake_two_workers
    scenarios::who_gives_up_hands_on
    wakes::one_is_woken_at_a_time
    scenarios::what_became_dirty_meanwhile_comes_back
    scenarios::a_drain_ends_when_everything_is_done
    scenarios::two_drains_both_end
    scenarios::a_shutdown_wakes_everybody
    scenarios::a_shutdown_ends_drains
    scenarios::a_cancellation_ends_a_drain
    scenarios::the_time_is_kept_when_its_keeper_gives_up
    scenarios::the_time_is_kept_when_its_keeper_has_work
    scenarios::an_earlier_delay_moves_the_alarm
}
