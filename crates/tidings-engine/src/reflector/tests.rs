//! The reflector against the decision table and the rules of its contract, as traces: left what
//! happened, right what the machine asked for.

mod contract;
mod counters;
mod failures;
mod faults;
mod fingerprint;
mod lists;
mod notation;
mod watchdog;
mod watches;

use expect_test::expect;

use self::notation::{check, check_with, requests, trace};
use super::*;

/// The condition is what people see: it must tell listing, trouble, staleness and recovery.
#[test]
fn the_condition_says_what_is_going_on() {
    let mut reflector: Reflector<()> = Reflector::new(Config::default());
    let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
    assert_eq!(reflector.condition().activity, Activity::Idle);
    reflector.handle(at(0), Input::Start);
    let listing = Activity::Listing {
        items: 0,
        remaining: None,
        streaming: true,
    };
    assert_eq!(reflector.condition().activity, listing);
    let version = ResourceVersion::from_revision(10);
    reflector.handle(at(0), Input::Accepted);
    let end = Input::Bookmark {
        resource_version: Ok(version.clone()),
        initial_events_end: true,
    };
    reflector.handle(at(1), end);
    let applied = Input::Applied {
        deltas: 2,
        resource_version: Some(version.clone()),
    };
    reflector.handle(at(1), applied);
    let condition = reflector.condition();
    assert_eq!(
        (condition.activity, condition.stale_since),
        (Activity::Watching, None)
    );
    assert_eq!(condition.resource_version, Some(version));
    for second in [5, 20] {
        let message = "connection reset".to_owned();
        let failure = Failure {
            kind: FailureKind::Transport,
            message,
        };
        reflector.handle(at(second), Input::Broken(failure));
        reflector.handle(at(second + 10), Input::Tick);
    }
    let condition = reflector.condition();
    let trouble = condition.trouble.unwrap();
    assert_eq!(
        (trouble.reason, trouble.attempts),
        (WakeReason::Transport, 2)
    );
    assert_eq!(
        (condition.stale_since, condition.synced),
        (Some(at(5)), true)
    );
    let bookmark = Input::Bookmark {
        resource_version: Ok(ResourceVersion::from_revision(11)),
        initial_events_end: false,
    };
    reflector.handle(at(31), bookmark);
    let condition = reflector.condition();
    assert_eq!((condition.trouble, condition.stale_since), (None, None));
    assert_eq!(reflector.stats().reasons[&WakeReason::Transport], 2);
}

/// An alarm may ring early, at any time: the driver moves it only when it would ring too late.
#[test]
fn an_early_tick_changes_nothing_in_any_phase() {
    let at = |millis| Instant::ZERO + Duration::from_millis(millis);
    let modes = [ListMode::Whole, ListMode::WatchList];
    for list_mode in modes {
        let config = Config {
            list_mode,
            ..Config::default()
        };
        let mut reflector: Reflector<()> = Reflector::new(config);
        let mut quiet = |now, input| {
            reflector.handle(now, input);
            while !matches!(reflector.poll_output(), Output::Idle { .. }) {}
            let (stats, listing) = (reflector.stats().clone(), reflector.is_listing());
            reflector.handle(now, Input::Tick);
            assert!(
                matches!(reflector.poll_output(), Output::Idle { wake_at } if wake_at > now),
                "{list_mode:?} at {now:?}"
            );
            assert_eq!(reflector.stats(), &stats, "{list_mode:?} at {now:?}");
            listing
        };
        assert!(quiet(at(0), Input::Start), "opening");
        assert!(quiet(at(1), Input::Accepted), "listing");
        let message = "connection reset".to_owned();
        let kind = FailureKind::Transport;
        let broken = Input::Broken(Failure { kind, message });
        assert!(!quiet(at(2), broken), "waiting");
    }
}

/// A server's sentence is repeated in one bounded line (SEC-29).
#[test]
fn sec_29_a_refusals_message_is_one_bounded_line() {
    let mut reflector: Reflector<()> = Reflector::new(Config::default());
    reflector.handle(Instant::ZERO, Input::Start);
    let body = format!(r#"{{"message":"a\n\u001b[31m{}"}}"#, "x".repeat(5000));
    let status = Box::new(tidings_api::status::Status::parse(500, body.as_bytes()));
    reflector.handle(
        Instant::ZERO,
        Input::Refused {
            code: 500,
            status,
            retry_after: None,
        },
    );
    let message = reflector.condition().trouble.unwrap().message;
    assert!(
        message.len() < 400 && !message.contains(char::is_control),
        "{message}"
    );
}

/// A restored store is watched from its version, without a list, and counts as synced.
#[test]
fn design_4_3_a_restored_store_is_watched_without_a_list() {
    let version = ResourceVersion::from_revision(40);
    let mut reflector: Reflector<()> = Reflector::resume(Config::default(), version, 2);
    reflector.handle(Instant::ZERO, Input::Start);
    assert_eq!(reflector.poll_output().to_string(), "WATCH rv=40");
    assert_eq!((reflector.epoch(), reflector.is_listing()), (2, false));
    let condition = reflector.condition();
    assert!(condition.synced && condition.epoch == 2);
}
