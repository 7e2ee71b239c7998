//! The list phase: WatchList, pages, fallbacks, epochs.

use super::*;

#[test]
fn cg_r28_cg_r29_cg_r31_a_watch_list_becomes_the_watch() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=1s MODIFIED a@12
            t=2s bookmark 20
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            1.0    MODIFIED a@12 -> updated a@12; wake 131.0
            2.0    bookmark 20 -> bookmark 20; wake 132.0
        "#]],
    );
}

#[test]
fn cg_r23_pr_e10_only_the_end_bookmark_ends_the_initial_events() {
    check(
        "
            start
            ok
            ADDED a@7
            bookmark 8
            ADDED b@5
            initial-end ''
            initial-end 10
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    bookmark 8 -> wake 10.0
            0.0    ADDED b@5 -> b@5; wake 10.0
            0.0    initial-end '' -> wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
        "#]],
    );
}

#[test]
fn cg_r30_changes_mixed_into_the_initial_events_apply() {
    check(
        "
            start
            ok
            ADDED a@7
            MODIFIED a@11
            DELETED b@12
            initial-end 12
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    MODIFIED a@11 -> a@11; wake 10.0
            0.0    DELETED b@12 -> -b@12; wake 10.0
            0.0    initial-end 12 -> } rv=12 epoch=0; wake 130.0
        "#]],
    );
}

#[test]
fn cg_r34_pr_s3_a_server_without_watch_list_is_listed_and_that_is_remembered() {
    check(
        "
            start
            refused 422 reason=Invalid
            ok
            page rv=10 a@7
            ok
            t=5s error 410 reason=Expired
            tick
            ok
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    refused 422 reason=Invalid -> close; LIST limit=500 rv=''; wake 60.0
            0.0    ok -> replace{; wake 60.0
            0.0    page rv=10 a@7 -> a@7; } rv=10 epoch=0; WATCH rv=10; wake 130.0
            0.0    ok -> wake 130.0
            5.0    error 410 reason=Expired -> close; wake 5.8
            5.8    tick -> LIST limit=500 rv=''; wake 65.8
            5.8    ok -> replace{; wake 65.8
        "#]],
    );
}

#[test]
fn the_fallback_is_forgotten_after_an_hour() {
    check(
        "
            start
            refused 400
            ok
            page rv=10 a@7
            ok
            t=3700s error 410
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    refused 400 -> close; LIST limit=500 rv=''; wake 60.0
            0.0    ok -> replace{; wake 60.0
            0.0    page rv=10 a@7 -> a@7; } rv=10 epoch=0; WATCH rv=10; wake 130.0
            0.0    ok -> wake 130.0
            3700.0 error 410 -> close; wake 3700.8
            3700.8 tick -> WATCHLIST rv=''; wake 3730.8
        "#]],
    );
}

/// A WatchList that never ends (pr-F15).
#[test]
fn cg_r35_pr_s4_an_end_bookmark_that_never_comes_leads_to_a_list() {
    check(
        "
            start
            ok
            ADDED a@7
            t=5s ADDED b@8
            tick
            ok
            page rv=10 a@7 b@8
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            5.0    ADDED b@8 -> b@8; wake 15.0
            15.0   tick -> close; }abort; LIST limit=500 rv=''; wake 75.0
            15.0   ok -> replace{; wake 75.0
            15.0   page rv=10 a@7 b@8 -> a@7; b@8; } rv=10 epoch=0; WATCH rv=10; wake 145.0
        "#]],
    );
}

#[test]
fn a_watch_list_that_stays_mute_gets_longer_before_its_first_object() {
    check(
        "
            start
            ok
            t=29s ok
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            29.0   ok -> wake 59.0
            59.0   tick -> close; }abort; LIST limit=500 rv=''; wake 119.0
        "#]],
    );
}

#[test]
fn an_unanswered_request_says_nothing_about_watch_lists() {
    check(
        "
            start
            tick
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            30.0   tick -> close; wake 30.8
            30.8   tick -> WATCHLIST rv=''; wake 60.8
        "#]],
    );
}

#[test]
fn pr_e10_a_watch_list_cut_before_its_end_is_thrown_away() {
    check(
        "
            start
            ok
            ADDED a@7
            t=2s closed
            tick
            ok
            ADDED a@7
            broken
            tick
            ok
            garbage
            ok
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            2.0    closed -> }abort; close; wake 2.8
            2.8    tick -> WATCHLIST rv=''; wake 32.8
            2.8    ok -> replace{; wake 32.8
            2.8    ADDED a@7 -> a@7; wake 12.8
            2.8    broken -> }abort; close; wake 4.8
            4.8    tick -> WATCHLIST rv=''; wake 34.8
            4.8    ok -> replace{; wake 34.8
            4.8    garbage -> close; }abort; LIST limit=500 rv=''; wake 64.8
            4.8    ok -> replace{; wake 64.8
        "#]],
    );
}

#[test]
fn pr_1_7_5xx_on_a_watch_list_falls_back_after_three() {
    check(
        "
            start
            refused 500
            tick
            refused 503
            tick
            refused 500
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    refused 500 -> close; wake 0.8
            0.8    tick -> WATCHLIST rv=''; wake 30.8
            0.8    refused 503 -> close; wake 2.8
            2.8    tick -> WATCHLIST rv=''; wake 32.8
            2.8    refused 500 -> close; LIST limit=500 rv=''; wake 62.8
        "#]],
    );
}

#[test]
fn watch_list_mode_has_nothing_to_fall_back_to() {
    let config = Config {
        list_mode: ListMode::WatchList,
        ..Config::default()
    };
    check_with(
        config,
        "
            start
            refused 422
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    refused 422 -> close; wake 0.8
            0.8    tick -> WATCHLIST rv=''; wake 30.8
        "#]],
    );
}

/// The page is client-go's (pr-L11).
#[test]
fn cg_r9_pages_of_500_carry_the_token_alone() {
    let config = Config {
        list_mode: ListMode::Paged,
        ..Config::default()
    };
    check_with(
        config,
        "
            start
            ok
            page rv=10 a@7 continue=T1
            ok
            page rv=10 b@8 continue=T2
            ok
            page rv=10
        ",
        expect![[r#"
            0.0    start -> LIST limit=500 rv=''; wake 60.0
            0.0    ok -> replace{; wake 60.0
            0.0    page rv=10 a@7 continue=T1 -> a@7; LIST limit=500 continue=T1; wake 60.0
            0.0    ok -> wake 60.0
            0.0    page rv=10 b@8 continue=T2 -> b@8; LIST limit=500 continue=T2; wake 60.0
            0.0    ok -> wake 60.0
            0.0    page rv=10 -> } rv=10 epoch=0; WATCH rv=10; wake 130.0
        "#]],
    );
}

#[test]
fn cg_r11_the_first_pages_version_is_the_lists() {
    let config = Config {
        list_mode: ListMode::Paged,
        ..Config::default()
    };
    check_with(
        config,
        "
            start
            ok
            page rv=10 a@7 continue=T1
            ok
            page rv=99 b@8
        ",
        expect![[r#"
            0.0    start -> LIST limit=500 rv=''; wake 60.0
            0.0    ok -> replace{; wake 60.0
            0.0    page rv=10 a@7 continue=T1 -> a@7; LIST limit=500 continue=T1; wake 60.0
            0.0    ok -> wake 60.0
            0.0    page rv=99 b@8 -> b@8; } rv=10 epoch=0; WATCH rv=10; wake 130.0
        "#]],
    );
}

#[test]
fn pr_l13_a_page_without_items_but_with_a_token_is_not_the_end() {
    let config = Config {
        list_mode: ListMode::Paged,
        ..Config::default()
    };
    check_with(
        config,
        "
            start
            ok
            page rv=10 continue=T1
            ok
            page rv=10 a@7
        ",
        expect![[r#"
            0.0    start -> LIST limit=500 rv=''; wake 60.0
            0.0    ok -> replace{; wake 60.0
            0.0    page rv=10 continue=T1 -> LIST limit=500 continue=T1; wake 60.0
            0.0    ok -> wake 60.0
            0.0    page rv=10 a@7 -> a@7; } rv=10 epoch=0; WATCH rv=10; wake 130.0
        "#]],
    );
}

/// The way out of an expired page is client-go's (pr-L11).
#[test]
fn cg_r11_pr_l10_an_expired_page_leads_to_one_whole_list() {
    let config = Config {
        list_mode: ListMode::Paged,
        ..Config::default()
    };
    check_with(
        config,
        "
            start
            ok
            page rv=10 a@7 continue=T1
            refused 410 reason=Expired
            tick
            ok
            page rv=12 a@7 b@11
        ",
        expect![[r#"
            0.0    start -> LIST limit=500 rv=''; wake 60.0
            0.0    ok -> replace{; wake 60.0
            0.0    page rv=10 a@7 continue=T1 -> a@7; LIST limit=500 continue=T1; wake 60.0
            0.0    refused 410 reason=Expired -> }abort; close; wake 1.2
            1.2    tick -> LIST rv=''; wake 61.2
            1.2    ok -> replace{; wake 61.2
            1.2    page rv=12 a@7 b@11 -> a@7; b@11; } rv=12 epoch=0; WATCH rv=12; wake 131.2
        "#]],
    );
}

#[test]
fn cg_r8_pr_l2_version_0_is_asked_for_only_on_request_and_only_once() {
    let config = Config {
        list_mode: ListMode::Paged,
        first_list_from_any_version: true,
        ..Config::default()
    };
    check_with(
        config,
        "
            start
            ok
            page rv=10 a@7
            ok
            error 410
            tick
        ",
        expect![[r#"
            0.0    start -> LIST limit=500 rv=0; wake 60.0
            0.0    ok -> replace{; wake 60.0
            0.0    page rv=10 a@7 -> a@7; } rv=10 epoch=0; WATCH rv=10; wake 130.0
            0.0    ok -> wake 130.0
            0.0    error 410 -> close; wake 0.8
            0.8    tick -> LIST limit=500 rv=''; wake 60.8
        "#]],
    );
}

#[test]
fn pr_l21_a_list_cut_short_is_never_a_short_list() {
    let config = Config {
        list_mode: ListMode::Whole,
        ..Config::default()
    };
    check_with(
        config,
        "
            start
            ok
            closed
            tick
            ok
            broken
            tick
            ok
            page rv=10 a@7
        ",
        expect![[r#"
            0.0    start -> LIST rv=''; wake 60.0
            0.0    ok -> replace{; wake 60.0
            0.0    closed -> }abort; close; wake 1.2
            1.2    tick -> LIST rv=''; wake 61.2
            1.2    ok -> replace{; wake 61.2
            1.2    broken -> }abort; close; wake 2.8
            2.8    tick -> LIST rv=''; wake 62.8
            2.8    ok -> replace{; wake 62.8
            2.8    page rv=10 a@7 -> a@7; } rv=10 epoch=0; WATCH rv=10; wake 132.8
        "#]],
    );
}

#[test]
fn a_list_that_stalls_is_given_up() {
    let config = Config {
        list_mode: ListMode::Whole,
        ..Config::default()
    };
    check_with(
        config,
        "
            start
            ok
            tick
            tick
        ",
        expect![[r#"
            0.0    start -> LIST rv=''; wake 60.0
            0.0    ok -> replace{; wake 60.0
            60.0   tick -> }abort; close; wake 61.2
            61.2   tick -> LIST rv=''; wake 121.2
        "#]],
    );
}

/// Each item is in time, but the page would never end: it goes the way of a silent one. Each page has
/// a deadline of its own.
#[test]
fn a_page_that_trickles_is_given_up_like_a_silent_one() {
    let config = Config {
        list_mode: ListMode::Paged,
        list_page_deadline: Duration::from_secs(120),
        ..Config::default()
    };
    let script = "
        start
        ok
        t=50s item a@1
        t=100s page rv=5 b@2 continue=T
        t=101s ok
        t=150s item c@3
        t=200s item d@4
        t=219s item e@5
        tick
        tick
    ";
    let (trace, reflector) = trace(config, script);
    expect![[r#"
        0.0    start -> LIST limit=500 rv=''; wake 60.0
        0.0    ok -> replace{; wake 60.0
        50.0   item a@1 -> a@1; wake 110.0
        100.0  page rv=5 b@2 continue=T -> b@2; LIST limit=500 continue=T; wake 160.0
        101.0  ok -> wake 161.0
        150.0  item c@3 -> c@3; wake 210.0
        200.0  item d@4 -> d@4; wake 220.0
        219.0  item e@5 -> e@5; wake 220.0
        220.0  tick -> }abort; close; wake 221.2
        221.2  tick -> LIST limit=500 rv=''; wake 281.2
    "#]]
    .assert_eq(&trace);
    let trouble = reflector.condition().trouble.unwrap();
    assert_eq!(trouble.message, "a page of the list took too long");
    assert_eq!(reflector.stats().reasons[&WakeReason::Silent], 1);
}

#[test]
fn a_list_without_a_version_is_no_list() {
    let config = Config {
        list_mode: ListMode::Whole,
        ..Config::default()
    };
    check_with(
        config,
        "
            start
            ok
            page a@7
            tick
        ",
        expect![[r#"
            0.0    start -> LIST rv=''; wake 60.0
            0.0    ok -> replace{; wake 60.0
            0.0    page a@7 -> a@7; }abort; close; wake 1.2
            1.2    tick -> LIST rv=''; wake 61.2
        "#]],
    );
}

#[test]
fn pr_f41_inv_s11_an_item_without_a_key_proves_no_absence() {
    let config = Config {
        list_mode: ListMode::Whole,
        ..Config::default()
    };
    check_with(
        config,
        "
            start
            ok
            page rv=10 a@7 ??
        ",
        expect![[r#"
            0.0    start -> LIST rv=''; wake 60.0
            0.0    ok -> replace{; wake 60.0
            0.0    page rv=10 a@7 ?? -> a@7; } rv=10 epoch=0 no-sweep; WATCH rv=10; wake 130.0
        "#]],
    );
}

/// A frame that is unfit may stand for any object: among initial events and in a list alike, also one
/// that goes away while they come.
#[test]
fn inv_s11_whatever_cannot_be_attributed_while_a_list_comes_proves_no_absence() {
    let watch_list = |line: &str| {
        let script = format!("start\nok\nADDED a@7\n{line}\ninitial-end 10");
        trace(Config::default(), &script).0
    };
    for line in ["unfit", "ADDED ??", "DELETED ??"] {
        let trace = watch_list(line);
        assert!(trace.contains("} rv=10 epoch=0 no-sweep"), "{trace}");
    }
    let trace = watch_list("DELETED a@8");
    assert!(trace.contains("} rv=10 epoch=0; "), "{trace}");
    let config = Config {
        list_mode: ListMode::Paged,
        ..Config::default()
    };
    let list = "start\nok\nitem a@7\nunfit\npage rv=10 b@8";
    let trace = self::trace(config, list).0;
    assert!(trace.contains("} rv=10 epoch=0 no-sweep"), "{trace}");
}

#[test]
fn inv_s4_a_consistent_list_below_our_version_opens_an_epoch_with_a_forced_comparison() {
    let config = Config {
        list_mode: ListMode::Whole,
        ..Config::default()
    };
    check_with(
        config,
        "
            start
            ok
            page rv=100 a@70
            ok
            t=60s error 410
            tick
            ok
            page rv=50 a@40
            ok
            page rv=50 a@40
            ok
            t=70s MODIFIED a@51
        ",
        expect![[r#"
            0.0    start -> LIST rv=''; wake 60.0
            0.0    ok -> replace{; wake 60.0
            0.0    page rv=100 a@70 -> a@70; } rv=100 epoch=0; WATCH rv=100; wake 130.0
            0.0    ok -> wake 130.0
            60.0   error 410 -> close; wake 60.8
            60.8   tick -> LIST rv=''; wake 120.8
            60.8   ok -> replace{; wake 120.8
            60.8   page rv=50 a@40 -> a@40; }abort; LIST rv=''; wake 120.8
            60.8   ok -> replace{!; wake 120.8
            60.8   page rv=50 a@40 -> a@40; } rv=50 epoch=1; WATCH rv=50; wake 190.8
            60.8   ok -> wake 190.8
            70.0   MODIFIED a@51 -> updated a@51; wake 200.0
        "#]],
    );
}

#[test]
fn inv_s4_a_watch_list_below_our_version_opens_an_epoch() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=60s error 410
            tick
            ok
            ADDED a@3
            initial-end 5
            ok
            ADDED a@3
            initial-end 5
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            60.0   error 410 -> close; wake 60.8
            60.8   tick -> WATCHLIST rv=''; wake 90.8
            60.8   ok -> replace{; wake 90.8
            60.8   ADDED a@3 -> a@3; wake 70.8
            60.8   initial-end 5 -> }abort; WATCHLIST rv=''; wake 90.8
            60.8   ok -> replace{!; wake 90.8
            60.8   ADDED a@3 -> a@3; wake 70.8
            60.8   initial-end 5 -> } rv=5 epoch=1; wake 190.8
        "#]],
    );
}

/// An end without a beginning, of a request that was given up, would sweep the store (F3).
#[test]
fn an_end_of_a_page_before_the_answer_is_of_no_list() {
    let config = Config {
        list_mode: ListMode::Paged,
        ..Config::default()
    };
    check_with(
        config,
        "
            start
            page rv=9 a@7
            page rv=9 a@7 continue=T1
            ok
            page rv=10 b@8
        ",
        expect![[r#"
            0.0    start -> LIST limit=500 rv=''; wake 60.0
            0.0    page rv=9 a@7 -> wake 60.0
            0.0    page rv=9 a@7 continue=T1 -> wake 60.0
            0.0    ok -> replace{; wake 60.0
            0.0    page rv=10 b@8 -> b@8; } rv=10 epoch=0; WATCH rv=10; wake 130.0
        "#]],
    );
}

#[test]
fn a_removal_before_the_answer_is_of_no_list() {
    check(
        "
            start
            DELETED a@7
            ok
            ADDED b@8
            initial-end 10
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    DELETED a@7 -> wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED b@8 -> b@8; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
        "#]],
    );
}
