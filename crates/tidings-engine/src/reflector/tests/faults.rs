//! The fault catalogue, as far as the reflector alone meets it: servers that throttle, lag, lie,
//! restart or speak of another past.

use super::*;

const LEVEL: &str = "start\nok\nADDED a@7\nADDED b@9\ninitial-end 10\n";

fn mode(list_mode: ListMode) -> Config {
    Config {
        list_mode,
        ..Config::default()
    }
}

fn script(parts: &[&str]) -> String {
    parts.concat()
}

/// A server that fills its cache, or cannot be fresh in time, says 429 and how long to wait: it is
/// asked the same again, and not before.
#[test]
fn cg_v3_pr_l8_pr_l15_a_cache_that_is_not_ready_is_waited_for() {
    check_with(
        mode(ListMode::Paged),
        "
            start
            refused 429 reason=TooManyRequests retry=30
            tick
            refused 429 reason=TooManyRequests retry=1
            tick
            ok
            page rv=10 a@7
            t=100s refused 429 retry=30
            tick
        ",
        expect![[r#"
            0.0    start -> LIST limit=500 rv=''; wake 60.0
            0.0    refused 429 reason=TooManyRequests retry=30 -> close; wake 39.0
            39.0   tick -> LIST limit=500 rv=''; wake 99.0
            39.0   refused 429 reason=TooManyRequests retry=1 -> close; wake 40.0
            40.0   tick -> LIST limit=500 rv=''; wake 100.0
            40.0   ok -> replace{; wake 100.0
            40.0   page rv=10 a@7 -> a@7; } rv=10 epoch=0; WATCH rv=10; wake 170.0
            100.0  refused 429 retry=30 -> close; wake 134.5
            134.5  tick -> WATCH rv=10; wake 264.5
        "#]],
    );
}

/// Priority and fairness may keep a request for 15 s, and a WatchList its seat until its initial
/// events are queued: neither is given up for that, nor does it speak against WatchLists.
#[test]
fn pr_s7_a_request_that_waits_in_the_servers_queue_is_not_given_up() {
    for list_mode in [ListMode::Auto, ListMode::Paged] {
        for (text, busy_until) in [("start\n", 15), ("start\nt=15s ok\n", 30)] {
            let (_, mut reflector) = trace(mode(list_mode), text);
            let Output::Idle { wake_at } = reflector.poll_output() else {
                panic!("nothing more to do");
            };
            let busy_until = Instant::ZERO + Duration::from_secs(busy_until);
            assert!(wake_at > busy_until, "{list_mode:?}: given up at {wake_at}");
            assert!(reflector.is_listing());
        }
    }
}

/// A proxy may hold back the head of a quiet watch until its first byte: such a watch is probed like
/// any silent one, and left alone when there is nothing to show.
#[test]
fn pr_w6_a_head_that_is_held_back_is_silence_and_no_failure() {
    check_with(
        mode(ListMode::Whole),
        "
            start
            ok
            page rv=10 a@7
            tick
            probe 10
            t=200s ok
            MODIFIED a@11
        ",
        expect![[r#"
            0.0    start -> LIST rv=''; wake 60.0
            0.0    ok -> replace{; wake 60.0
            0.0    page rv=10 a@7 -> a@7; } rv=10 epoch=0; WATCH rv=10; wake 130.0
            130.0  tick -> PROBE; wake 145.0
            130.0  probe 10 -> wake 510.7
            200.0  ok -> wake 510.7
            200.0  MODIFIED a@11 -> updated a@11; wake 510.7
        "#]],
    );
}

/// A page that leads to itself would be asked for without end and without delay.
#[test]
fn inv_s14_a_page_that_leads_to_itself_is_a_failure() {
    let pages = "start\nok\npage rv=10 a@7 continue=T\nok\npage rv=10 b@8 continue=U\nok\n";
    let text = script(&[
        pages,
        "page rv=10 c@9 continue=U\ntick\nok\npage rv=10 continue=T\n",
    ]);
    assert_eq!(
        requests(mode(ListMode::Paged), &text),
        [
            "LIST limit=500 rv=''",
            "LIST limit=500 continue=T",
            "LIST limit=500 continue=U",
            "LIST limit=500 rv=''",
            "LIST limit=500 continue=T",
        ]
    );
}

/// A list that goes on under ever new tokens ends at its bound, and the condition says which it was.
#[test]
fn inv_s14_a_list_of_too_many_pages_is_a_failure() {
    let config = Config {
        list_pages_max: 3,
        ..mode(ListMode::Paged)
    };
    let told = |last: &str| {
        let pages = "start\nok\npage rv=10 a@7 continue=T\nok\npage rv=10 b@8 continue=U\nok\n";
        let (_, reflector) = trace(config.clone(), &script(&[pages, last]));
        reflector.condition().trouble.map(|trouble| trouble.message)
    };
    assert_eq!(told("page rv=10 c@9"), None, "three pages are a list");
    assert_eq!(
        told("page rv=10 c@9 continue=V").unwrap(),
        "the list does not end: it has more than 3 pages"
    );
    assert_eq!(
        told("page rv=10 c@9 continue=U").unwrap(),
        "the list does not end: its continue token repeats itself"
    );
}

/// A token that comes with an expired page would go on at another version: it is not used, so the
/// list is never put together from two.
#[test]
fn pr_l12_a_list_is_never_continued_at_another_version() {
    let mut reflector: Reflector<()> = Reflector::new(mode(ListMode::Paged));
    let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
    reflector.handle(at(0), Input::Start);
    reflector.handle(at(0), Input::Accepted);
    reflector.handle(
        at(0),
        Input::PageEnd {
            resource_version: Ok(ResourceVersion::from_revision(10)),
            continue_token: "T".to_owned(),
            remaining: None,
        },
    );
    let body = br#"{"code":410,"reason":"Expired","metadata":{"continue":"INCONSISTENT"}}"#;
    reflector.handle(
        at(1),
        Input::Refused {
            code: 410,
            status: Box::new(tidings_api::status::Status::parse(410, body)),
            retry_after: None,
        },
    );
    reflector.handle(at(10), Input::Tick);
    let mut outputs = Vec::new();
    loop {
        match reflector.poll_output() {
            Output::Idle { .. } => break,
            output => outputs.push(output.to_string()),
        }
    }
    let expected =
        "LIST limit=500 rv=''; replace{; LIST limit=500 continue=T; }abort; close; LIST rv=''";
    assert_eq!(outputs.join("; "), expected);
}

/// One object that cannot be read makes every list a 500, and a watch an error: what is known stays,
/// and the list is asked for again until it works.
#[test]
fn pr_l16_pr_n8_a_kind_that_cannot_be_listed_is_kept_and_asked_for_again() {
    let hours = "error 500 reason=StorageReadError\ntick\nerror 410\ntick\n".to_owned()
        + &"refused 500 reason=StorageReadError\ntick\n".repeat(400);
    let (printed, reflector) = trace(
        mode(ListMode::Whole),
        &script(&[
            "start\nok\npage rv=10 a@7\nok\nt=100s ",
            &hours,
            "ok\npage rv=20 a@7\n",
        ]),
    );
    assert!(!printed.contains("replace{; }abort"), "nothing was begun");
    let condition = reflector.condition();
    assert_eq!(condition.resource_version.unwrap().to_string(), "20");
    assert_eq!(condition.trouble, None);
    let lists = reflector.stats().lists;
    assert_eq!(lists, 2 + 400, "one request a delay");
}

/// A bookmark and a list have versions that no object has: both are resumed from.
#[test]
fn pr_r5_a_version_that_no_object_has_is_one_to_resume_from() {
    let text = "start\nok\npage rv=100 a@7\nok\nt=10s closed\ntick\nok\nt=20s bookmark 150\nclosed\ntick\n";
    assert_eq!(
        requests(mode(ListMode::Whole), text),
        ["LIST rv=''", "WATCH rv=100", "WATCH rv=100", "WATCH rv=150"]
    );
}

/// A version that was kept over a restart is verified as soon as its watch stands: on a server of
/// another history the watch would be silent (pr-W15).
#[test]
fn pr_r4_a_restored_version_is_verified_by_a_consistent_read() {
    let restored = |answer: Input<()>| {
        let version = ResourceVersion::from_revision(40);
        let mut reflector: Reflector<()> = Reflector::resume(Config::default(), version, 2);
        let mut outputs = Vec::new();
        for input in [Input::Start, Input::Accepted, answer] {
            reflector.handle(Instant::ZERO, input);
            loop {
                match reflector.poll_output() {
                    Output::Idle { .. } => break,
                    output => outputs.push(output.to_string()),
                }
            }
        }
        (outputs.join("; "), reflector)
    };
    let version = ResourceVersion::from_revision;
    let (outputs, mut reflector) = restored(Input::ProbeAnswered(version(40)));
    assert_eq!(outputs, "WATCH rv=40; PROBE");
    assert_eq!(reflector.condition().trouble, None);
    for (second, input) in [(9, Input::Ended), (10, Input::Tick), (10, Input::Accepted)] {
        reflector.handle(Instant::ZERO + Duration::from_secs(second), input);
    }
    while !matches!(reflector.poll_output(), Output::Idle { .. }) {}
    assert_eq!(reflector.stats().probes, 1, "it is verified once");
    let (outputs, mut reflector) = restored(Input::ProbeAnswered(version(12)));
    assert_eq!(outputs, "WATCH rv=40; PROBE; close");
    reflector.handle(Instant::ZERO + Duration::from_secs(2), Input::Tick);
    assert_eq!(reflector.poll_output().to_string(), "WATCHLIST rv=''");
    // A probe that failed verified nothing: the next stream is verified.
    let (_, mut reflector) = restored(Input::ProbeFailed);
    reflector.handle(Instant::ZERO + Duration::from_secs(2), Input::Tick);
    assert_eq!(reflector.poll_output().to_string(), "WATCH rv=40");
    reflector.handle(Instant::ZERO + Duration::from_secs(2), Input::Accepted);
    assert_eq!(reflector.poll_output().to_string(), "PROBE");
}

/// The answer to a request stands at the instant at which the probe is asked, and is no frame that
/// came after it: a server that is ahead of the restored version has to show it on the stream.
#[test]
fn pr_r4_pr_e11c_the_acceptance_of_a_watch_does_not_answer_its_own_probe() {
    let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
    let version = ResourceVersion::from_revision;
    let mut reflector: Reflector<()> = Reflector::resume(Config::default(), version(40), 2);
    reflector.handle(at(0), Input::Start);
    reflector.handle(at(1), Input::Accepted);
    reflector.handle(at(2), Input::ProbeAnswered(version(50)));
    while !matches!(reflector.poll_output(), Output::Idle { .. }) {}
    let verdict = at(1) + Config::default().probe_verdict;
    assert!(matches!(reflector.poll_output(), Output::Idle { wake_at } if wake_at == verdict));
    reflector.handle(verdict, Input::Tick);
    assert_eq!(reflector.poll_output().to_string(), "close");
    let trouble = reflector.condition().trouble.unwrap();
    assert_eq!(trouble.reason, WakeReason::Silent);
}

/// A deletion that names nobody may be that of any stored object: only a list tells.
#[test]
fn pr_f7_a_deletion_without_a_usable_object_leads_to_a_list() {
    for deleted in ["DELETED ??", "DELETED a@"] {
        let text = script(&[LEVEL, "t=100s ", deleted, "\ntick\n"]);
        assert_eq!(
            requests(Config::default(), &text),
            ["WATCHLIST rv=''", "WATCHLIST rv=''"],
            "{deleted}"
        );
    }
}

/// A stream breaks in the middle of events that share a version: the watch goes on at the last
/// version that is known to be whole, so that the others come too. Without shared versions nothing
/// comes twice.
#[test]
fn pr_f8_a_group_of_events_that_was_cut_comes_again() {
    let after = |events: &str, shared_versions| {
        let config = Config {
            shared_versions,
            ..Config::default()
        };
        let text = script(&[LEVEL, "t=9s ", events, "\nbroken\ntick\n"]);
        requests(config, &text)[1].clone()
    };
    for (events, at) in [
        ("DELETED a@12", "WATCH rv=10"),
        ("MODIFIED a@11\nDELETED a@12\nDELETED b@12", "WATCH rv=11"),
        ("DELETED a@12\nbookmark 12", "WATCH rv=12"),
        ("DELETED a@12\nbookmark 20", "WATCH rv=20"),
        ("bookmark 10", "WATCH rv=10"),
    ] {
        assert_eq!(after(events, true), at, "{events}");
    }
    assert_eq!(after("DELETED a@12", false), "WATCH rv=12");
    // Cut twice in one group, and what comes again is cut as well.
    let config = Config {
        shared_versions: true,
        ..Config::default()
    };
    let cut = "DELETED a@12\nbroken\ntick\nok\n";
    let asked = requests(config, &script(&[LEVEL, "t=9s ", cut, cut, cut]));
    assert_eq!(asked[1..], ["WATCH rv=10", "WATCH rv=10", "WATCH rv=10"]);
}

/// The first server cannot stream lists, the second can: each refusal is remembered for its hour,
/// and neither is a reason to stop.
#[test]
fn pr_f11_servers_of_different_versions_are_both_served() {
    let text = "start\nrefused 422 reason=Invalid\nok\npage rv=10 a@7\nok\n\
        t=100s error 410\ntick\nok\npage rv=20 a@7\nok\n\
        t=4000s error 410\ntick\nok\nADDED a@7\ninitial-end 30\n\
        t=4100s error 410\ntick\nrefused 422 reason=Invalid\n";
    assert_eq!(
        requests(Config::default(), text),
        [
            "WATCHLIST rv=''",
            "LIST limit=500 rv=''",
            "WATCH rv=10",
            "LIST limit=500 rv=''",
            "WATCH rv=20",
            "WATCHLIST rv=''",
            "WATCHLIST rv=''",
            "LIST limit=500 rv=''",
        ]
    );
}

/// A replica that is stuck refuses the version for ever: after half a minute it is compared with a
/// consistent read, and it never meets more than a request a second.
#[test]
fn pr_f12_a_stuck_replica_is_compared_with_and_not_hammered() {
    let refused = "refused 504 reason=Timeout cause=ResourceVersionTooLarge retry=1\ntick\n";
    let text = script(&[LEVEL, "t=100s closed\ntick\n", &refused.repeat(100)]);
    let (printed, reflector) = trace(Config::default(), &text);
    let stats = reflector.stats();
    assert!(stats.watch_lists >= 2, "compared: {stats:?}");
    let end = printed.lines().last().unwrap();
    let seconds: f64 = end.split_whitespace().next().unwrap().parse().unwrap();
    assert!(seconds >= 200.0, "100 refusals took {seconds} s");
}

/// A list that takes longer than the server's history is followed by a watch that has expired: that
/// goes round with growing delays, and each round shows a newer state.
#[test]
fn pr_f13_a_list_slower_than_the_history_goes_round_with_growing_delays() {
    let round = |version: u32| format!("ok\npage rv={version} a@7\nerror 410\ntick\n");
    let rounds: String = (1..8).map(|round_| round(round_ * 10)).collect();
    let (printed, reflector) = trace(mode(ListMode::Whole), &script(&["start\n", &rounds]));
    let waits: Vec<f64> = printed
        .lines()
        .filter(|line| line.contains("error 410"))
        .map(|line| {
            let at: f64 = line.split_whitespace().next().unwrap().parse().unwrap();
            line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() - at
        })
        .collect();
    for (round, base) in [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0]
        .into_iter()
        .enumerate()
    {
        assert!(waits[round] > base - 0.2, "round {round}: {waits:?}");
    }
    assert_eq!(reflector.resource_version().unwrap().to_string(), "70");
}

/// All clients lose their watches at one moment and come back with their versions: no list, and not
/// together.
#[test]
fn pr_f30_pr_f50_a_restart_of_the_server_leads_to_no_list_and_to_no_herd() {
    let mut starts = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let config = Config {
            seed,
            ..Config::default()
        };
        let text = script(&[LEVEL, "t=100s closed\n"]);
        let (_, mut reflector) = trace(config.clone(), &text);
        let Output::Idle { wake_at } = reflector.poll_output() else {
            panic!("nothing more to do");
        };
        starts.insert(wake_at);
        let down = "tick\nbroken\ntick\nrefused 503\ntick\nrefused 429 retry=5\ntick\nok\n";
        let asked = requests(config, &script(&[&text, down]));
        assert!(
            asked[1..].iter().all(|call| call == "WATCH rv=10"),
            "{asked:?}"
        );
    }
    assert!(
        starts.len() > 150,
        "{} instants for 200 clients",
        starts.len()
    );
}

/// No list takes the whole collection in one answer, unless that was asked for.
#[test]
fn pr_f51_lists_are_streamed_or_paged_unless_asked_for_whole() {
    let relists = "error 410\ntick\nok\npage rv=20 a@7\nok\nerror 410\ntick\n";
    for (list_mode, first) in [
        (
            ListMode::Auto,
            "start\nrefused 422\nok\npage rv=10 a@7\nok\n",
        ),
        (ListMode::Paged, "start\nok\npage rv=10 a@7\nok\n"),
    ] {
        let asked = requests(mode(list_mode), &script(&[first, relists]));
        let mut lists = asked.iter().filter(|call| call.starts_with("LIST"));
        assert!(lists.all(|call| call.contains("limit=500")), "{asked:?}");
    }
}

/// A server that throttles, or whose conversion fails, for hours: the store is served as it is and
/// says since when it is stale, and each request waits as it was told.
#[test]
fn pr_f54_pr_f55_hours_of_refusals_keep_the_store_and_say_since_when() {
    for refusal in ["refused 429 retry=10\ntick\n", "refused 500\ntick\n"] {
        let text = script(&[LEVEL, "t=100s closed\ntick\n", &refusal.repeat(500)]);
        let (printed, reflector) = trace(Config::default(), &text);
        assert!(!printed.contains("replace{!") && !printed.contains("deleted"));
        let stats = reflector.stats();
        assert_eq!((stats.watches, stats.watch_lists), (501, 1), "{refusal}");
        let condition = reflector.condition();
        let since = condition.stale_since.unwrap();
        assert!(since < Instant::ZERO + Duration::from_secs(102));
        assert!(condition.synced && condition.trouble.unwrap().attempts == 500);
        let end = printed.lines().last().unwrap();
        let seconds: f64 = end.split_whitespace().next().unwrap().parse().unwrap();
        assert!(seconds >= 5000.0, "500 refusals took {seconds} s");
    }
}

/// The machine slept: what stood is overdue, and is reopened at its version; nothing is listed.
#[test]
fn pr_f64_after_a_sleep_the_watch_is_reopened_at_its_version() {
    check(
        &script(&[LEVEL, "t=30000s tick\ntick\nok\nMODIFIED a@11\n"]),
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            30000.0 tick -> close; wake 30000.8
            30000.8 tick -> WATCH rv=10; wake 30130.8
            30000.8 ok -> wake 30130.8
            30000.8 MODIFIED a@11 -> updated a@11; wake 30130.8
        "#]],
    );
    // Less than the watch's own time: the silence is probed.
    check(
        &script(&[LEVEL, "t=250s tick\n"]),
        expect![[r#"
        0.0    start -> WATCHLIST rv=''; wake 30.0
        0.0    ok -> replace{; wake 30.0
        0.0    ADDED a@7 -> a@7; wake 10.0
        0.0    ADDED b@9 -> b@9; wake 10.0
        0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
        250.0  tick -> PROBE; wake 265.0
    "#]],
    );
}

/// Permissions are taken away and come back: the store is kept, and followed again from its version.
#[test]
fn pr_f65_permissions_that_come_back_find_the_store_as_it_was() {
    let refused = "refused 403 reason=Forbidden\ntick\n".repeat(30);
    let text = script(&[
        LEVEL,
        "t=100s closed\ntick\n",
        &refused,
        "ok\nMODIFIED a@11\n",
    ]);
    let (printed, reflector) = trace(Config::default(), &text);
    assert!(!printed.contains("}abort") && !printed.contains("deleted"));
    let stats = reflector.stats();
    assert_eq!((stats.watch_lists, stats.lists, stats.watches), (1, 0, 31));
    assert_eq!(reflector.condition().trouble, None);
    let end = printed.lines().last().unwrap();
    let seconds: f64 = end.split_whitespace().next().unwrap().parse().unwrap();
    assert!(seconds >= 30.0 * 60.0, "30 refusals took {seconds} s");
}
