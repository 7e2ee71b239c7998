//! Runs each scenario under the checker of this package.

use schedules::{checker, scenarios};

macro_rules! checked {
    ($($(#[$only:meta])? $preemptions:literal $room:ident::$name:ident)*) => {$(
        $(#[$only])?
        #[test]
        fn $name() {
            checker::run($preemptions, scenarios::$room::$name);
        }
    )*};
}

// With how many preemptions loom tries every order.
checked! {
    3 queue::an_addition_wakes_who_waits
    3 queue::two_keys_wake_two_workers
    3 queue::two_additions_wake_two_workers
    3 queue::who_gives_up_hands_on
    #[cfg(feature = "loom")] 3 wakes::one_is_woken_at_a_time
    3 queue::what_became_dirty_meanwhile_comes_back
    3 queue::a_drain_ends_when_everything_is_done
    3 queue::two_drains_both_end
    3 queue::a_shutdown_wakes_everybody
    3 queue::a_shutdown_ends_drains
    3 queue::a_cancellation_ends_a_drain
    3 queue::the_time_is_kept_when_its_keeper_gives_up
    3 queue::the_time_is_kept_when_its_keeper_has_work
    3 queue::an_earlier_delay_moves_the_alarm
    #[cfg(feature = "shuttle")] 0 crowds::every_last_change_is_worked_on_after_it_happened
    #[cfg(feature = "shuttle")] 0 crowds::every_delayed_key_is_worked_on_once

    9 publication::a_reader_sees_whole_rounds_in_their_order
    3 publication::two_readers_hold_what_they_like
    3 publication::a_snapshot_outlives_many_rounds
    9 publication::a_state_is_brought_up_to_date_in_slices
    9 publication::a_relist_shows_its_end_alone
    9 publication::a_late_index_is_there_whole

    3 handlers::who_is_told_finds_it_in_the_store
    3 handlers::progress_never_runs_ahead_of_the_store
    3 handlers::a_late_handler_is_told_everything_once
    3 handlers::a_removed_handler_is_told_no_more
    3 handlers::a_drained_handler_is_told_no_more
    2 handlers::handlers_come_and_go
    2 handlers::a_command_is_answered_or_refused
    #[cfg(feature = "shuttle")] 0 handlers::a_crowd_of_handlers

    2 subscriptions::a_subscription_misses_nothing
    2 subscriptions::an_early_subscription_hears_of_the_first_list
    2 subscriptions::a_laggard_is_told_where_things_stand
    2 subscriptions::a_sleeper_pins_nothing
    2 subscriptions::a_stop_comes_last
    #[cfg(feature = "shuttle")] 0 subscriptions::a_crowd_of_subscriptions
}
