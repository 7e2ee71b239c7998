//! The decision table (pr 1.7), row by row.

use super::*;

#[test]
fn pr_1_7_410_relists_by_a_consistent_read_after_a_delay() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=9s error 410 reason=Expired
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            9.0    error 410 reason=Expired -> close; wake 9.8
            9.8    tick -> WATCHLIST rv=''; wake 39.8
        "#]],
    );
}

#[test]
fn pr_1_7_http_410_on_a_watch_relists_too() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=9s broken
            tick
            refused 410
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            9.0    broken -> close; wake 9.0
            9.0    tick -> WATCH rv=10; wake 139.0
            9.0    refused 410 -> close; wake 10.0
            10.0   tick -> WATCHLIST rv=''; wake 40.0
        "#]],
    );
}

#[test]
fn pr_1_7_5xx_rewatches_at_the_same_version() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=9s error 500 reason=InternalError
            tick
            refused 503
            tick
            refused 504
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            9.0    error 500 reason=InternalError -> close; wake 9.8
            9.8    tick -> WATCH rv=10; wake 139.8
            9.8    refused 503 -> close; wake 11.8
            11.8   tick -> WATCH rv=10; wake 141.8
            11.8   refused 504 -> close; wake 16.0
            16.0   tick -> WATCH rv=10; wake 146.0
        "#]],
    );
}

/// kube-apiserver answers 500 to a watch at what is no number, whenever it is asked.
#[test]
fn pr_f14_a_version_that_is_no_number_and_that_is_refused_thrice_is_listed_anew() {
    check_with(
        Config {
            list_mode: ListMode::Whole,
            ..Config::default()
        },
        "
            start
            ok
            page rv=odd a@7
            refused 500
            tick
            refused 500
            tick
            refused 500
            tick
            ok
            page rv=12 a@7
            refused 500
            tick
            refused 500
            tick
            refused 500
            tick
        ",
        expect![[r#"
            0.0    start -> LIST rv=''; wake 60.0
            0.0    ok -> replace{; wake 60.0
            0.0    page rv=odd a@7 -> a@7; } rv=odd epoch=0; WATCH rv=odd; wake 130.0
            0.0    refused 500 -> close; wake 0.8
            0.8    tick -> WATCH rv=odd; wake 130.8
            0.8    refused 500 -> close; wake 2.8
            2.8    tick -> WATCH rv=odd; wake 132.8
            2.8    refused 500 -> close; wake 7.0
            7.0    tick -> LIST rv=''; wake 67.0
            7.0    ok -> replace{; wake 67.0
            7.0    page rv=12 a@7 -> a@7; } rv=12 epoch=0; WATCH rv=12; wake 137.0
            7.0    refused 500 -> close; wake 15.6
            15.6   tick -> WATCH rv=12; wake 145.6
            15.6   refused 500 -> close; wake 37.5
            37.5   tick -> WATCH rv=12; wake 167.5
            37.5   refused 500 -> close; wake 84.3
            84.3   tick -> WATCH rv=12; wake 214.3
        "#]],
    );
}

#[test]
fn pr_1_7_429_waits_as_told_and_keeps_its_version() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=9s error 429 reason=TooManyRequests
            tick
            refused 429 retry=7
            tick
            refused 429 retry=1000000000
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            9.0    error 429 reason=TooManyRequests -> close; wake 9.8
            9.8    tick -> WATCH rv=10; wake 139.8
            9.8    refused 429 retry=7 -> close; wake 17.8
            17.8   tick -> WATCH rv=10; wake 147.8
            17.8   refused 429 retry=1000000000 -> close; wake 86.9
            86.9   tick -> WATCH rv=10; wake 216.9
        "#]],
    );
}

/// A request that is accepted and then refused in its stream, again and again: each time it looks like
/// the first, and yet only a delay leads back (F4).
#[test]
fn inv_l3_pr_w11_a_401_in_a_stream_is_never_met_without_a_delay() {
    check(
        "
            start
            ok
            ADDED a@7
            initial-end 10
            t=9s error 401 reason=Unauthorized
            tick
            ok
            error 401 reason=Unauthorized
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            9.0    error 401 reason=Unauthorized -> reload-credentials; close; wake 9.8
            9.8    tick -> WATCH rv=10; wake 139.8
            9.8    ok -> wake 139.8
            9.8    error 401 reason=Unauthorized -> reload-credentials; close; wake 11.8
            11.8   tick -> WATCH rv=10; wake 141.8
        "#]],
    );
}

#[test]
fn pr_1_7_401_loads_credentials_and_retries_once_at_once_then_backs_off() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=9s broken
            tick
            refused 401
            tick
            refused 401
            tick
            ok
            t=400s closed
            tick
            refused 401
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            9.0    broken -> close; wake 9.0
            9.0    tick -> WATCH rv=10; wake 139.0
            9.0    refused 401 -> reload-credentials; close; wake 9.0
            9.0    tick -> WATCH rv=10; wake 139.0
            9.0    refused 401 -> reload-credentials; close; wake 9.8
            9.8    tick -> WATCH rv=10; wake 139.8
            9.8    ok -> wake 139.8
            400.0  closed -> close; wake 400.0
            400.0  tick -> WATCH rv=10; wake 530.0
            400.0  refused 401 -> reload-credentials; close; wake 400.0
        "#]],
    );
}

#[test]
fn pr_1_7_403_keeps_the_store_and_retries_slowly() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=9s broken
            tick
            refused 403
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            9.0    broken -> close; wake 9.0
            9.0    tick -> WATCH rv=10; wake 139.0
            9.0    refused 403 -> close; wake 87.2
            87.2   tick -> WATCH rv=10; wake 217.2
        "#]],
    );
}

#[test]
fn pr_1_7_404_keeps_the_store_and_lists_when_the_kind_comes_back() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=9s broken
            tick
            refused 404
            tick
            refused 404
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            9.0    broken -> close; wake 9.0
            9.0    tick -> WATCH rv=10; wake 139.0
            9.0    refused 404 -> close; wake 87.2
            87.2   tick -> WATCHLIST rv=''; wake 117.2
            87.2   refused 404 -> close; wake 165.4
            165.4  tick -> WATCHLIST rv=''; wake 195.4
        "#]],
    );
}

#[test]
fn pr_1_7_406_is_retried_slowly() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=9s broken
            tick
            refused 406
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            9.0    broken -> close; wake 9.0
            9.0    tick -> WATCH rv=10; wake 139.0
            9.0    refused 406 -> close; wake 87.2
            87.2   tick -> WATCH rv=10; wake 217.2
        "#]],
    );
}

#[test]
fn pr_1_7_another_4xx_begins_anew_after_a_backoff() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=9s broken
            tick
            refused 405
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            9.0    broken -> close; wake 9.0
            9.0    tick -> WATCH rv=10; wake 139.0
            9.0    refused 405 -> close; wake 10.0
            10.0   tick -> WATCHLIST rv=''; wake 40.0
        "#]],
    );
}

#[test]
fn pr_1_7_a_broken_transport_never_relists() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=9s broken
            tick
            broken
            tick
            broken
            tick
            ok
            broken
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            9.0    broken -> close; wake 9.0
            9.0    tick -> WATCH rv=10; wake 139.0
            9.0    broken -> close; wake 10.0
            10.0   tick -> WATCH rv=10; wake 140.0
            10.0   broken -> close; wake 12.1
            12.1   tick -> WATCH rv=10; wake 142.1
            12.1   ok -> wake 142.1
            12.1   broken -> close; wake 16.4
            16.4   tick -> WATCH rv=10; wake 146.4
        "#]],
    );
}

#[test]
fn cg_r24_a_lost_connection_rewatches_at_the_last_applied_version() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=9s MODIFIED a@15
            t=10s broken
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            9.0    MODIFIED a@15 -> updated a@15; wake 139.0
            10.0   broken -> close; wake 10.0
            10.0   tick -> WATCH rv=15; wake 140.0
        "#]],
    );
}

#[test]
fn pr_1_7_a_version_of_the_future_waits_then_compares_by_a_consistent_list() {
    check(
        "
            start
            ok
            initial-end 10
            t=9s broken
            tick
            error 504 reason=Timeout cause=ResourceVersionTooLarge
            tick
            t=38s refused 504 reason=Timeout cause=ResourceVersionTooLarge retry=2
            tick
            t=41s refused 504 reason=Timeout cause=ResourceVersionTooLarge
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            9.0    broken -> close; wake 9.0
            9.0    tick -> WATCH rv=10; wake 139.0
            9.0    error 504 reason=Timeout cause=ResourceVersionTooLarge -> close; wake 10.1
            10.1   tick -> WATCH rv=10; wake 140.1
            38.0   refused 504 reason=Timeout cause=ResourceVersionTooLarge retry=2 -> close; wake 40.3
            40.3   tick -> WATCH rv=10; wake 170.3
            41.0   refused 504 reason=Timeout cause=ResourceVersionTooLarge -> close; wake 42.0
            42.0   tick -> WATCHLIST rv=''; wake 72.0
        "#]],
    );
}

#[test]
fn design_4_7_the_same_garbage_twice_at_one_version_leads_past_it() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=9s garbage
            tick
            ok
            garbage
            tick
            ok
            ADDED a@7
            initial-end 20
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            9.0    garbage -> close; wake 9.8
            9.8    tick -> WATCH rv=10; wake 139.8
            9.8    ok -> wake 139.8
            9.8    garbage -> close; wake 11.8
            11.8   tick -> WATCHLIST rv=''; wake 41.8
            11.8   ok -> replace{; wake 41.8
            11.8   ADDED a@7 -> a@7; wake 21.8
            11.8   initial-end 20 -> } rv=20 epoch=0; wake 141.8
        "#]],
    );
}

#[test]
fn garbage_at_different_versions_is_no_pattern() {
    check(
        "
            start
            ok
            ADDED a@7
            ADDED b@9
            initial-end 10
            t=9s garbage
            tick
            ok
            MODIFIED a@11
            garbage
            tick
        ",
        expect![[r#"
            0.0    start -> WATCHLIST rv=''; wake 30.0
            0.0    ok -> replace{; wake 30.0
            0.0    ADDED a@7 -> a@7; wake 10.0
            0.0    ADDED b@9 -> b@9; wake 10.0
            0.0    initial-end 10 -> } rv=10 epoch=0; wake 130.0
            9.0    garbage -> close; wake 9.8
            9.8    tick -> WATCH rv=10; wake 139.8
            9.8    ok -> wake 139.8
            9.8    MODIFIED a@11 -> updated a@11; wake 139.8
            9.8    garbage -> close; wake 11.8
            11.8   tick -> WATCH rv=11; wake 141.8
        "#]],
    );
}

#[test]
fn cg_r3_one_backoff_serves_lists_and_watches() {
    let config = Config {
        list_mode: ListMode::Whole,
        ..Config::default()
    };
    check_with(
        config,
        "
            start
            broken
            tick
            refused 500
            tick
            ok
            page rv=10 a@7
            broken
            tick
        ",
        expect![[r#"
            0.0    start -> LIST rv=''; wake 60.0
            0.0    broken -> close; wake 1.2
            1.2    tick -> LIST rv=''; wake 61.2
            1.2    refused 500 -> close; wake 2.8
            2.8    tick -> LIST rv=''; wake 62.8
            2.8    ok -> replace{; wake 62.8
            2.8    page rv=10 a@7 -> a@7; } rv=10 epoch=0; WATCH rv=10; wake 132.8
            2.8    broken -> close; wake 7.0
            7.0    tick -> WATCH rv=10; wake 137.0
        "#]],
    );
}
