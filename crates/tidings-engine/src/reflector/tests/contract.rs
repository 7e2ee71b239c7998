//! client-go's contract for the reflector, rule by rule, where no other file has the rule: constants,
//! delays, what a refusal of a list leads to, what an event may not do.

use tidings_api::options::WatchOptions;

use super::*;

/// A stream that has its state and follows it.
const LEVEL: &str = "start\nok\nADDED a@7\nADDED b@9\ninitial-end 10\n";

fn whole() -> Config {
    Config {
        list_mode: ListMode::Whole,
        ..Config::default()
    }
}

fn any_version(list_mode: ListMode) -> Config {
    Config {
        list_mode,
        first_list_from_any_version: true,
        ..Config::default()
    }
}

fn script(parts: &[&str]) -> String {
    parts.concat()
}

/// The numbers are client-go's, and those that servers expect (pr-N14).
#[test]
fn cg_r1_pr_n14_the_numbers_are_client_gos() {
    let config = Config::default();
    let seconds = Duration::from_secs;
    assert_eq!(config.watch_timeout_min, seconds(300));
    assert_eq!(config.page_items, 500);
    assert_eq!(config.short_stream, seconds(1));
    let backoff = BackoffConfig {
        initial: Duration::from_millis(800),
        max: seconds(30),
        reset_after: seconds(120),
    };
    assert_eq!(config.backoff, backoff);
}

fn watch_timeout(min: u64, seed: u64) -> Duration {
    let config = Config {
        watch_timeout_min: Duration::from_secs(min),
        seed,
        ..Config::default()
    };
    let mut reflector: Reflector<()> = Reflector::new(config);
    reflector.handle(Instant::ZERO, Input::Start);
    match reflector.poll_output() {
        Output::Open(Call::Watch(WatchOptions { timeout, .. })) => timeout,
        other => panic!("{other}"),
    }
}

#[test]
fn cg_r1_a_watch_asks_for_a_random_time_from_the_minimum_to_twice_that_and_never_for_less() {
    for (configured, min) in [(300, 300.0), (1, 300.0), (1800, 1800.0)] {
        let asked = (0..1000).map(|seed| watch_timeout(configured, seed).as_secs_f64() / min);
        let (mut least, mut most) = (f64::MAX, f64::MIN);
        for share in asked {
            least = least.min(share);
            most = most.max(share);
        }
        assert!(
            (1.0..1.05).contains(&least) && (1.95..2.0).contains(&most),
            "{configured}: from {least} to {most} times {min}"
        );
    }
}

/// Every failure is met by a delay of the backoff; only a stream that ended well after a while is
/// reopened at once, and then with jitter.
#[test]
fn cg_r5_each_failure_waits_and_a_stream_that_ended_well_is_reopened_at_once_with_jitter() {
    let delay = |seed, end: &str| {
        let config = Config {
            seed,
            ..Config::default()
        };
        let (_, reflector) = trace(config, &script(&[LEVEL, "t=100s bookmark 11\n", end]));
        match reflector.phase {
            Phase::Waiting { until, .. } => {
                until.saturating_since(Instant::ZERO + Duration::from_secs(100))
            }
            other => panic!("{end} leads to {other:?}"),
        }
    };
    for end in [
        "error 410",
        "error 429",
        "error 500",
        "refused 403",
        "refused 404",
        "refused 405",
        "refused 406",
        "refused 503",
        "garbage",
        "MODIFIED a@1",
    ] {
        assert!(delay(1, end) >= Duration::from_millis(800), "{end}");
    }
    let reopened: Vec<Duration> = (0..100).map(|seed| delay(seed, "closed")).collect();
    let max = reopened.iter().max().unwrap();
    assert!(*max < Duration::from_millis(100), "{max:?}");
    let distinct: std::collections::BTreeSet<&Duration> = reopened.iter().collect();
    assert!(distinct.len() > 90, "they do not come together");
}

#[test]
fn cg_r6_each_trouble_has_its_reason_in_the_condition_and_in_the_counters() {
    for (end, reason) in [
        ("error 410", WakeReason::Expired),
        ("error 429", WakeReason::Throttled),
        ("error 500 reason=InternalError", WakeReason::ServerTrouble),
        ("refused 401", WakeReason::Unauthorized),
        ("refused 403", WakeReason::Forbidden),
        ("refused 404", WakeReason::KindGone),
        ("refused 405", WakeReason::Rejected),
        ("refused 415", WakeReason::NotAcceptable),
        (
            "refused 504 cause=ResourceVersionTooLarge",
            WakeReason::TooLargeVersion,
        ),
        ("broken", WakeReason::Transport),
        ("garbage", WakeReason::Undecodable),
        ("MODIFIED a@1", WakeReason::VersionWentBack),
        ("t=130s tick\nprobe-failed", WakeReason::Silent),
        ("t=130s tick\nprobe 9", WakeReason::EpochChanged),
    ] {
        let (_, reflector) = trace(Config::default(), &script(&[LEVEL, end]));
        let condition = reflector.condition();
        let trouble = condition.trouble.expect(end);
        assert_eq!(trouble.reason, reason, "{end}");
        assert!(!trouble.message.is_empty() && condition.stale_since.is_some());
        assert_eq!(reflector.stats().reasons[&reason], 1, "{end}");
    }
}

/// The versions of client-go's cases: 0, then a consistent read, whichever way the server says that
/// it cannot serve the version.
#[test]
fn cg_r10_a_list_whose_version_is_refused_is_repeated_as_a_consistent_read() {
    for refusal in [
        "refused 410 reason=Expired",
        "refused 410 reason=Gone",
        "refused 504 reason=Timeout cause=ResourceVersionTooLarge",
    ] {
        let text = script(&["start\n", refusal, "\ntick\n", refusal, "\ntick\n"]);
        let asked = requests(any_version(ListMode::Whole), &text);
        assert_eq!(
            asked,
            ["LIST rv=0", "LIST rv=''", "LIST rv=''"],
            "{refusal}"
        );
    }
    // Another failure says nothing about the version.
    let asked = requests(any_version(ListMode::Whole), "start\nrefused 500\ntick\n");
    assert_eq!(asked, ["LIST rv=0", "LIST rv=0"]);
}

/// Every list is paged, whatever the last answers were: there is nothing to remember (cg-R9).
#[test]
fn cg_r12_no_list_depends_on_how_the_last_one_was_answered() {
    let relist = "error 410\ntick\nok\npage rv=20 a@7\nok\nt=500s error 410\ntick\n";
    for first in [
        "start\nok\npage rv=10 a@7\nok\n",
        "start\nok\npage rv=10 a@7 continue=T\nok\npage rv=10 b@8\nok\n",
    ] {
        let asked = requests(any_version(ListMode::Paged), &script(&[first, relist]));
        let lists: Vec<_> = asked
            .iter()
            .filter(|call| call.starts_with("LIST") && !call.contains("continue"))
            .collect();
        assert_eq!(
            lists,
            [
                "LIST limit=500 rv=0",
                "LIST limit=500 rv=''",
                "LIST limit=500 rv=''"
            ]
        );
    }
}

#[test]
fn cg_r14_the_version_moves_when_the_store_has_the_list_and_a_failed_list_moves_nothing() {
    check_with(
        whole(),
        "
            start
            ok
            hold
            page rv=10 a@7
            t=1s apply
            ok
            t=2s error 410
            tick
            ok
            hold
            t=3s broken
            apply
            tick
            refused 500
            tick
        ",
        expect![[r#"
            0.0    start -> LIST rv=''; wake 60.0
            0.0    ok -> replace{; wake 60.0
            0.0    hold -> wake 60.0
            0.0    page rv=10 a@7 -> a@7; } rv=10 epoch=0
            1.0    apply -> WATCH rv=10; wake 131.0
            1.0    ok -> wake 131.0
            2.0    error 410 -> close; wake 2.8
            2.8    tick -> LIST rv=''; wake 62.8
            2.8    ok -> replace{; wake 62.8
            2.8    hold -> wake 62.8
            3.0    broken -> }abort; close; wake 4.7
            3.0    apply -> wake 4.7
            4.7    tick -> LIST rv=''; wake 64.7
            4.7    refused 500 -> close; wake 8.9
            8.9    tick -> LIST rv=''; wake 68.9
        "#]],
    );
    let (_, reflector) = trace(whole(), "start\nok\nhold\npage rv=10 a@7\n");
    assert_eq!(
        reflector.resource_version(),
        None,
        "not before it is applied"
    );
    let relist = "start\nok\npage rv=10 a@7\nok\nt=2s error 410\ntick\nok\nbroken\n";
    let (_, reflector) = trace(whole(), relist);
    assert_eq!(reflector.resource_version().unwrap().to_string(), "10");
}

/// The initial burst is not in the order of versions and moves none (cg-V7); what follows is.
#[test]
fn cg_r17_cg_v7_initial_events_in_any_order_move_no_version_and_later_ones_must_rise() {
    check(
        "
            start
            ok
            ADDED b@9
            ADDED a@7
            MODIFIED b@8
            t=1s broken
            tick
            ok
            ADDED b@9
            ADDED a@7
            initial-end 10
            MODIFIED a@11
            MODIFIED b@9
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    MODIFIED b@8 -> b@8; wake 10.0
            1.0    broken -> }abort; close; wake 1.8
            1.8    tick -> WATCHLIST rv=''; wake 31.8
            1.8    ok -> replace{; wake 31.8
            1.8    ADDED b@9 -> b@9; wake 11.8
            1.8    ADDED a@7 -> a@7; wake 11.8
            1.8    initial-end 10 -> } rv=10 epoch=0; wake 131.8
            1.8    MODIFIED a@11 -> updated a@11; wake 131.8
            1.8    MODIFIED b@9 -> close; wake 3.8
            3.8    tick -> WATCHLIST rv=''; wake 33.8
        "#]],
    );
    let (_, reflector) = trace(Config::default(), "start\nok\nADDED b@9\nMODIFIED a@7\n");
    assert_eq!(reflector.resource_version(), None);
    let relist = [LEVEL, "t=9s error 410\ntick\nok\nADDED b@90\n"].concat();
    let (_, reflector) = trace(Config::default(), &relist);
    assert_eq!(reflector.resource_version().unwrap().to_string(), "10");
}

/// Whatever keeps a watch from being opened, it is opened again at its version; only a version that
/// is gone, a kind that is gone and a request that is refused as wrong lead to a list.
#[test]
fn cg_r18_a_watch_that_cannot_be_opened_is_opened_again_at_its_version() {
    let after = |refusal: &str| {
        let text = script(&[LEVEL, "t=100s closed\ntick\n", refusal, "\ntick\n"]);
        requests(Config::default(), &text)[1..].to_vec()
    };
    for refusal in [
        "broken",
        "refused 401",
        "refused 403",
        "refused 415",
        "refused 429 retry=3",
        "refused 500",
        "refused 502",
        "refused 503",
        "refused 504",
        "refused 504 cause=ResourceVersionTooLarge",
    ] {
        assert_eq!(after(refusal), ["WATCH rv=10", "WATCH rv=10"], "{refusal}");
    }
    for refusal in ["refused 404", "refused 405", "refused 410"] {
        assert_eq!(
            after(refusal),
            ["WATCH rv=10", "WATCHLIST rv=''"],
            "{refusal}"
        );
    }
}

#[test]
fn cg_r20_expired_rv_relists_and_any_other_error_event_rewatches_by_its_row() {
    let after = |error: &str| {
        let text = script(&[LEVEL, "t=100s ", error, "\ntick\n"]);
        requests(Config::default(), &text)[1].clone()
    };
    for error in [
        "error 410 reason=Expired",
        "error 410 reason=Gone",
        "error 0 reason=Expired",
    ] {
        assert_eq!(after(error), "WATCHLIST rv=''", "{error}");
    }
    for error in [
        "error 429 reason=TooManyRequests",
        "error 500 reason=InternalError",
        "error 500 reason=StorageReadError",
        "error 503 reason=ServiceUnavailable",
        "error 0 reason=Unknown",
        "error 0",
    ] {
        assert_eq!(after(error), "WATCH rv=10", "{error}");
    }
}

#[test]
fn cg_r33_a_watch_list_that_is_throttled_or_refused_waits_and_the_wait_is_cancelled() {
    check(
        "
            start
            refused 429
            tick
            broken
            tick
            refused 429 retry=5
            t=5s stop
            t=60s start
            ok
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    refused 429 -> close; wake 0.8
            0.8    tick -> WATCHLIST rv=''; wake 30.8
            0.8    broken -> close; wake 2.8
            2.8    tick -> WATCHLIST rv=''; wake 32.8
            2.8    refused 429 retry=5 -> close; wake 8.6
            5.0    stop -> close
            60.0   start -> 
            60.0   ok -> 
        "#]],
    );
    // A version that is refused is not asked for again: a WatchList names none.
    for refusal in ["refused 410", "refused 504 cause=ResourceVersionTooLarge"] {
        let text = script(&["start\n", refusal, "\ntick\n"]);
        let asked = requests(Config::default(), &text);
        assert_eq!(asked, ["WATCHLIST rv=''", "WATCHLIST rv=''"], "{refusal}");
    }
}

#[test]
fn cg_i11_a_machine_that_has_stopped_cannot_be_started_again() {
    let text = script(&[LEVEL, "stop\nstart\nok\nMODIFIED a@11\nclosed\n"]);
    let (printed, mut reflector) = trace(Config::default(), &text);
    let after = printed.split("stop -> ").nth(1).unwrap();
    assert!(after.starts_with("close\n"), "{after}");
    assert!(
        after.lines().skip(1).all(|line| line.ends_with("-> ")),
        "{after}"
    );
    for input in [Input::Tick, Input::Stop] {
        reflector.handle(Instant::ZERO + Duration::from_secs(3600), input);
        assert_eq!(reflector.poll_output().to_string(), "idle");
    }
    assert_eq!(reflector.condition().activity, Activity::Stopped);
    // Nor is a running one started twice.
    assert_eq!(requests(Config::default(), "start\nstart\n").len(), 1);
}

#[test]
fn cg_r26_a_stop_before_the_start_asks_for_nothing() {
    assert_eq!(requests(Config::default(), "stop\nstart\nok\n"), [""; 0]);
}

#[test]
fn cg_r9_an_explicit_page_size_is_kept_over_all_pages() {
    let config = Config {
        list_mode: ListMode::Paged,
        page_items: 4,
        ..Config::default()
    };
    let text = "start\nok\npage rv=10 a@1 continue=T\nok\npage rv=10 b@2 continue=U\nok\n\
        page rv=10 c@3\nok\nt=9s error 410\ntick\n";
    assert_eq!(
        requests(config, text),
        [
            "LIST limit=4 rv=''",
            "LIST limit=4 continue=T",
            "LIST limit=4 continue=U",
            "WATCH rv=10",
            "LIST limit=4 rv=''",
        ]
    );
}

#[test]
fn cg_r2_a_configured_backoff_is_the_one_that_is_asked() {
    let seconds = Duration::from_secs;
    let config = Config {
        backoff: BackoffConfig {
            initial: seconds(3),
            max: seconds(7),
            reset_after: seconds(120),
        },
        ..whole()
    };
    let (printed, _) = trace(config, &script(&["start\n", &"broken\ntick\n".repeat(4)]));
    let at = |line: &str| -> f64 { line.split_whitespace().next().unwrap().parse().unwrap() };
    let broken = printed.lines().filter(|line| line.contains("broken"));
    let times: Vec<f64> = broken.map(at).collect();
    for (waited, base) in times
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .zip([3.0, 6.0, 7.0])
    {
        assert!(waited >= base - 0.1 && waited < 2.0 * base, "{times:?}");
    }
}

#[test]
fn the_counters_count() {
    let config = Config {
        list_mode: ListMode::Paged,
        ..Config::default()
    };
    let script = "
        start
        ok
        page rv=50 a@7 ?? b@8 continue=T1
        ok
        page rv=50 c@9 ?? continue=T2
        ok
        page rv=50
        ok
        error 410
        tick
        ok
        page rv=5 a@3
        ok
        page rv=5 a@3
    ";
    let (trace, reflector) = trace(config, script);
    let stats = reflector.stats();
    let counted = (stats.items, stats.keyless, stats.pages, stats.epochs);
    assert_eq!(counted, (7, 2, 2, 1), "{trace}");
}

/// When the machine wakes after the last step, in seconds from that step.
fn wait_after(script: &str) -> f64 {
    let config = Config {
        reopen_jitter_max: Duration::from_millis(100),
        ..Config::default()
    };
    let (trace, reflector) = trace(config, script);
    let last = trace.lines().last().unwrap();
    let now: f64 = last.split_whitespace().next().unwrap().parse().unwrap();
    match reflector.condition().activity {
        Activity::Waiting { until } => until.saturating_since(Instant::ZERO).as_secs_f64() - now,
        other => panic!("{other:?} after {trace}"),
    }
}

/// Only a stream that lived for a while and brought something is reopened without backoff.
#[test]
fn cg_r19_a_broken_stream_is_reopened_at_once_only_if_it_had_worked() {
    let worked = wait_after(&script(&[LEVEL, "MODIFIED a@11\nt=9s broken"]));
    assert!(worked < 0.2, "{worked}");
    let silent = "t=20s closed\nt=22s tick\nok\nt=30s broken";
    let silent = wait_after(&script(&[LEVEL, silent]));
    assert!(silent > 0.7, "{silent}");
    let short = "t=20s closed\nt=22s tick\nok\nMODIFIED a@11\nt=22.3s broken";
    let short = wait_after(&script(&[LEVEL, short]));
    assert!(short > 0.7, "{short}");
}

/// A connection that fails before there is an answer says nothing about WatchLists.
#[test]
fn cg_r34_refused_connections_are_no_reason_to_fall_back() {
    let broken = "broken\ntick\n".repeat(6);
    let (trace, _) = trace(Config::default(), &script(&["start\n", &broken]));
    assert!(!trace.contains("LIST limit"), "{trace}");
}

#[test]
fn a_refusal_is_told_with_its_code_and_the_servers_words() {
    let message = |line: &str| {
        let (_, reflector) = trace(
            Config::default(),
            &script(&[LEVEL, "closed\nt=5s tick\n", line]),
        );
        reflector.condition().trouble.unwrap().message
    };
    assert_eq!(message("refused 403"), "the server said 403");
    let reason = message("refused 429 reason=TooManyRequests");
    assert_eq!(reason, "the server said 429: TooManyRequests");
    let in_stream = message("ok\nerror 410 reason=Expired");
    assert_eq!(in_stream, "the server said 410: Expired");
}
