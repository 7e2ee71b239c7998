//! The same scenarios, and larger ones, in orders drawn at random.

mod sync {
    //! shuttle's locks, in the form of the queue's.

    pub(super) use shuttle::thread::spawn;

    use shuttle::sync::{Condvar as Inner, Mutex as Lock, MutexGuard};

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

mod crowds;
#[path = "scenarios.rs"]
mod scenarios;
#[expect(dead_code, reason = "the scenarios use its part")]
#[path = "../../crates/tidings/src/workqueue/shared.rs"]
mod shared;
#[path = "waiting.rs"]
mod waiting;

/// How many orders of each kind; `TIDINGS_SCHEDULES` says another number.
const ORDERS: usize = 10_000;
/// How many of its changes of threads PCT places with care.
const DEPTH: usize = 4;

/// Runs a scenario in many orders, half of them with priorities that change at few points (PCT).
fn many_orders(scenario: fn()) {
    let wanted = std::env::var("TIDINGS_SCHEDULES").ok();
    let orders = wanted.and_then(|text| text.parse().ok()).unwrap_or(ORDERS);
    shuttle::check_random(scenario, orders / 2);
    shuttle::check_pct(scenario, orders / 2, DEPTH);
}

macro_rules! in_many_orders {
    ($($room:ident::$name:ident)*) => {$(
        #[test]
        fn $name() {
            many_orders($room::$name);
        }
    )*};
}

in_many_orders! {
    scenarios::an_addition_wakes_who_waits
    scenarios::two_keys_wake_two_workers
    scenarios::two_additions_wake_two_workers
    scenarios::who_gives_up_hands_on
    scenarios::what_became_dirty_meanwhile_comes_back
    scenarios::a_drain_ends_when_everything_is_done
    scenarios::two_drains_both_end
    scenarios::a_shutdown_wakes_everybody
    scenarios::a_shutdown_ends_drains
    scenarios::a_cancellation_ends_a_drain
    scenarios::the_time_is_kept_when_its_keeper_gives_up
    scenarios::the_time_is_kept_when_its_keeper_has_work
    scenarios::an_earlier_delay_moves_the_alarm
    crowds::every_last_change_is_worked_on_after_it_happened
    crowds::every_delayed_key_is_worked_on_once
}
