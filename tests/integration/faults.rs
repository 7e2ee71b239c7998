//! Bad days: what a server and a network can do, over real sockets.

use tidings::{ListMode, Raw, WakeReason};
use tidings_apiserver::{Refusal, serve, state::WatchListSupport};

use crate::support::*;

#[tokio::test]
async fn cg_r24_a_cut_connection_is_resumed_without_a_list() {
    for abruptly in [false, true] {
        let server = server().await;
        put(&server, "a", "1");
        let handle = raw(&server).await;
        put(&server, "b", "1");
        level(&server, &handle).await;
        server.cut_watches(abruptly);
        put(&server, "a", "2");
        level(&server, &handle).await;
        let stats = handle.state().stats;
        assert_eq!(
            (stats.watch_lists + stats.lists, stats.epochs),
            (1, 0),
            "cut {abruptly}"
        );
        server.shutdown().await;
    }
}

/// Who is away for longer than the server's history meets 410 (pr-E12).
#[tokio::test]
async fn pr_w11_a_compaction_while_away_leads_to_a_relist_with_tombstones() {
    let server = server().await;
    put(&server, "a", "1");
    put(&server, "b", "1");
    let handle = raw(&server).await;
    server.cut_watches(true);
    delete(&server, "b");
    put(&server, "c", "1");
    server.compact();
    level(&server, &handle).await;
    let state = until(&handle, |state| {
        state.stats.reasons.contains_key(&WakeReason::Expired)
    })
    .await;
    assert_eq!(state.stats.watch_lists, 2);
}

#[tokio::test]
async fn inv_s4_pr_f9_a_restored_server_is_followed_back() {
    let server = server().await;
    put(&server, "a", "1");
    put(&server, "b", "1");
    let checkpoint = server.apply(|state| state.checkpoint());
    let handle = raw(&server).await;
    for _ in 0..20 {
        put(&server, "a", "2");
        put(&server, "c", "x");
        delete(&server, "c");
    }
    level(&server, &handle).await;
    server.apply(|state| state.restore(&checkpoint));
    server.faults(|faults| faults.refusals.push_back(Refusal::of_code(410, 0)));
    server.cut_watches(true);
    level(&server, &handle).await;
    assert_eq!(
        until(&handle, |state| state.condition.epoch == 1)
            .await
            .stats
            .epochs,
        1
    );
    put(&server, "d", "1");
    level(&server, &handle).await;
}

#[tokio::test]
async fn refusals_are_waited_out_and_the_store_is_served_meanwhile() {
    for code in [429, 500, 503, 401] {
        let server = server().await;
        put(&server, "a", "1");
        let handle = raw(&server).await;
        server.faults(|faults| faults.refusals.push_back(Refusal::of_code(code, 1)));
        server.cut_watches(true);
        put(&server, "b", "1");
        assert_eq!(handle.store().len(), 1);
        level(&server, &handle).await;
        assert_eq!(handle.state().stats.watch_lists, 1, "{code}: no relist");
        server.shutdown().await;
    }
}

#[tokio::test]
async fn pr_s3_servers_without_watch_lists_are_listed() {
    let server = server().await;
    server.faults(|faults| faults.watch_list = WatchListSupport::Refused);
    put(&server, "a", "1");
    let handle = raw(&server).await;
    put(&server, "b", "1");
    level(&server, &handle).await;
    let stats = handle.state().stats;
    assert_eq!((stats.watch_lists, stats.lists, stats.watches), (1, 1, 1));
}

#[tokio::test]
async fn pr_l21_pr_f23_a_truncated_list_is_taken_again() {
    let server = server().await;
    for number in 0..500 {
        put(&server, &format!("c{number}"), "1");
    }
    server.faults(|faults| faults.truncate_list = Some(50_000));
    let handle = start(builder::<Raw>(&server, scope()).list_mode(ListMode::Whole));
    handle.wait_synced(DEADLINE).await.unwrap();
    assert_eq!(handle.store().len(), 500);
    assert_eq!(handle.state().stats.lists, 2);
}

#[tokio::test]
async fn pr_f24_bodies_in_tiny_chunks_are_read() {
    let server = server().await;
    server.faults(|faults| faults.chunk_bytes = Some(3));
    put(&server, "a", "\u{fc}\u{1f600} \\\" {[");
    for mode in modes() {
        let handle = start(builder::<Raw>(&server, scope()).list_mode(mode));
        handle.wait_synced(DEADLINE).await.unwrap();
        put(&server, "b", &format!("{mode:?}"));
        level(&server, &handle).await;
        handle.stop();
    }
}

#[tokio::test]
async fn design_4_7_garbage_in_a_watch_is_passed() {
    let server = server().await;
    put(&server, "a", "1");
    let handle = raw(&server).await;
    server.faults(|faults| faults.inject = Some("\u{1}\u{2} no frame\n".into()));
    put(&server, "b", "1");
    level(&server, &handle).await;
    let reasons = until(&handle, |state| state.condition.trouble.is_none())
        .await
        .stats
        .reasons;
    assert_eq!(reasons.get(&WakeReason::Undecodable), Some(&1));
}

#[tokio::test]
async fn a_server_that_restarts_is_found_again() {
    let first = server().await;
    let address = first.address();
    put(&first, "a", "1");
    let handle = raw(&first).await;
    first.shutdown().await;
    let config = serve::Config {
        address,
        ..serve::Config::default()
    };
    // The port may still be held for a moment by the connections that were just closed.
    let mut second = serve::start(config.clone()).await;
    while second.is_err() {
        tokio::task::yield_now().await;
        second = serve::start(config.clone()).await;
    }
    let second = second.unwrap();
    for number in 0..5 {
        put(&second, &format!("new{number}"), "1");
    }
    // Its watch cache begins where it stands, as a real server's does: older versions meet 410.
    second.compact();
    level(&second, &handle).await;
}
