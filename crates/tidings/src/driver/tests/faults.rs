//! Bad input and broken servers: each has a bounded cost, a named error and a recovery.

use std::sync::atomic::Ordering;

use super::{script::*, *};
use crate::{Limits, ListMode, Raw, WakeReason};

const SYNC: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn pr_l21_a_list_that_ends_early_is_an_error_and_never_a_short_list() {
    let mut script = Script::new();
    let handle = start(script.builder::<Raw>().list_mode(ListMode::Whole));
    let whole = list(&[pod("a", 7), pod("b", 8)], 10);
    script
        .accept()
        .await
        .ok()
        .send(whole[..whole.len() - 2].to_owned())
        .end();
    let state = until(&handle, |state| state.condition.trouble.is_some()).await;
    let trouble = state.condition.trouble.unwrap();
    assert!(trouble.message.contains("ended"), "{}", trouble.message);
    assert!(!handle.state().is_synced() && handle.store().is_empty());
    script.accept().await.ok().send(whole).end();
    shows(&handle, "default/a@7 default/b@8").await;
}

#[tokio::test(start_paused = true)]
async fn pr_f32_a_proxys_page_is_named_and_retried() {
    let mut script = Script::new();
    let handle = start(script.builder::<Raw>().list_mode(ListMode::Whole));
    script
        .accept()
        .await
        .answer(200, "text/html")
        .send("<html>log in</html>")
        .end();
    let state = until(&handle, |state| state.condition.trouble.is_some()).await;
    let message = state.condition.trouble.unwrap().message;
    assert!(
        message.contains("text/html") && !message.contains("log in"),
        "{message}"
    );
    script
        .accept()
        .await
        .ok()
        .send(list(&[pod("a", 7)], 10))
        .end();
    shows(&handle, "default/a@7").await;
}

#[tokio::test(start_paused = true)]
async fn cg_r13_a_table_or_what_is_no_json_is_named_and_is_no_list() {
    for (body, word) in [
        (
            r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","rows":[]}"#,
            "Table",
        ),
        ("not json at all", "JSON"),
    ] {
        let mut script = Script::new();
        let handle = start(script.builder::<Raw>().list_mode(ListMode::Whole));
        script.accept().await.ok().send(body).end();
        let state = until(&handle, |state| state.condition.trouble.is_some()).await;
        let message = state.condition.trouble.unwrap().message;
        assert!(message.contains(word), "{body}: {message}");
        assert!(!handle.state().is_synced());
        handle.stop();
    }
}

#[tokio::test(start_paused = true)]
async fn design_4_7_garbage_in_a_watch_leads_to_a_rewatch_then_past_it() {
    let mut script = Script::new();
    let handle = script.raw();
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7)], 10);
    shows(&handle, "default/a@7").await;
    conn.send("\0\0 garbage\n");
    let mut watch = script.accept().await;
    assert!(
        watch.path.ends_with("&resourceVersion=10"),
        "{}",
        watch.path
    );
    watch.ok().send("\0\0 garbage\n");
    let mut relist = script.accept().await;
    assert!(
        relist.path.contains("sendInitialEvents=true"),
        "{}",
        relist.path
    );
    relist.watch_list(&[pod("a", 12)], 20);
    shows(&handle, "default/a@12").await;
}

#[tokio::test(start_paused = true)]
async fn cg_r24_a_broken_connection_rewatches_at_the_applied_version() {
    let mut script = Script::new();
    let handle = script.raw();
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7)], 10)
        .send(event("MODIFIED", &pod("a", 15)));
    shows(&handle, "default/a@15").await;
    let half = event("MODIFIED", &pod("a", 16));
    conn.send(half[..half.len() / 2].to_owned());
    conn.fail("connection reset by peer");
    let mut watch = script.accept().await;
    assert!(
        watch.path.ends_with("&resourceVersion=15"),
        "{}",
        watch.path
    );
    let trouble = until(&handle, |state| state.condition.trouble.is_some()).await;
    assert_eq!(
        trouble.condition.trouble.unwrap().reason,
        WakeReason::Transport
    );
    watch.ok().send(half);
    shows(&handle, "default/a@16").await;
    until(&handle, |state| state.condition.stale_since.is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn pr_w12_inv_l3_a_server_that_closes_at_once_meets_a_bounded_rate_of_requests() {
    let mut script = Script::new();
    let handle = start(script.builder::<Raw>().list_mode(ListMode::Whole));
    script
        .accept()
        .await
        .ok()
        .send(list(&[pod("a", 7)], 10))
        .end();
    let began = tokio::time::Instant::now();
    let mut requests = 0;
    while began.elapsed() < Duration::from_secs(3600) {
        let mut conn = script.accept().await;
        conn.ok();
        if conn.purpose == Purpose::List {
            conn.send(list(&[pod("a", 7)], 10));
        }
        conn.end();
        requests += 1;
    }
    // Some 85 delays an hour at the cap, and a list now and then.
    assert!(
        (60..200).contains(&requests),
        "{requests} requests in an hour"
    );
    assert_eq!(
        handle.store().len(),
        1,
        "what is known is served all the while"
    );
}

#[tokio::test(start_paused = true)]
async fn pr_1_7_401_reloads_the_credentials() {
    let mut script = Script::new();
    let _handle = script.raw();
    script.accept().await.answer(401, "application/json").end();
    script.accept().await.watch_list(&[pod("a", 7)], 10);
    assert_eq!(script.transport.reloads.load(Ordering::Relaxed), 1);
}

/// A huge object costs its own key (pr-F42).
#[tokio::test(start_paused = true)]
async fn sec_16_an_object_over_its_bound_poisons_its_key_and_the_stream_goes_on() {
    let mut script = Script::new();
    let limits = Limits {
        frame_bytes_max: 2000,
        object_bytes_max: 2000,
        ..Limits::default()
    };
    let handle = start(script.builder::<Raw>().limits(limits));
    let mut conn = script.accept().await;
    let huge = pod_with("huge", 8, &format!(r#","data":"{}""#, "x".repeat(100_000)));
    conn.ok().send(event("ADDED", &pod("a", 7)));
    for chunk in event("ADDED", &huge).as_bytes().chunks(999) {
        conn.send(chunk.to_vec());
    }
    conn.send(end_bookmark(10))
        .send(event("MODIFIED", &pod("a", 11)));
    shows(&handle, "default/a@11 default/huge@8").await;
    let crate::Lookup::Undecodable { problem, .. } = handle.store().lookup("default/huge") else {
        panic!("huge is poisoned");
    };
    assert!(
        problem.contains("bytes") || problem.contains("large"),
        "{problem}"
    );
}

/// A huge list costs itself (pr-F42).
#[tokio::test(start_paused = true)]
async fn sec_16_a_list_that_never_ends_is_given_up_at_its_bound() {
    let mut script = Script::new();
    let limits = Limits {
        list_items_max: 1000,
        ..Limits::default()
    };
    let handle = start(
        script
            .builder::<Raw>()
            .list_mode(ListMode::Whole)
            .limits(limits),
    );
    let mut conn = script.accept().await;
    conn.ok()
        .send(r#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":["#);
    for n in 0..1100 {
        conn.send(pod(&format!("p{n}"), n + 1)).send(",");
    }
    let state = until(&handle, |state| state.condition.trouble.is_some()).await;
    let message = state.condition.trouble.unwrap().message;
    assert!(message.contains("items"), "{message}");
    assert!(handle.store().is_empty());
    conn.dropped().await;
}

#[tokio::test(start_paused = true)]
async fn pr_e7_pr_f41_odd_frames_are_counted_and_hurt_nobody() {
    let mut script = Script::new();
    let handle = script.raw();
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7)], 10);
    handle.wait_synced(SYNC).await.unwrap();
    conn.send(event("PAINTED", &pod("x", 11)));
    conn.send(event(
        "ADDED",
        r#"{"kind":"Pod","metadata":{"resourceVersion":"12"}}"#,
    ));
    conn.send(event("MODIFIED", &pod("a", 13)));
    shows(&handle, "default/a@13").await;
    let state = until(&handle, |state| state.stats.unfit == 2).await;
    assert_eq!(state.stats.keyless, 1);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_kind_is_not_stored() {
    let mut script = Script::new();
    let handle = script.raw();
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7)], 10);
    handle.wait_synced(SYNC).await.unwrap();
    conn.send(event("ADDED", &secret("s", 11)));
    conn.send(event("MODIFIED", &pod("a", 12)));
    shows(&handle, "default/a@12").await;
    until(&handle, |state| state.stats.unfit == 1).await;
}

fn secret(name: &str, version: u64) -> String {
    pod(name, version).replace(r#""Pod""#, r#""Secret""#)
}

/// The first object of a WatchList may be the wrong one, whether the kind was known or not: the
/// majority is stored, and nothing else.
#[tokio::test(start_paused = true)]
async fn a_wrong_kind_that_comes_first_in_a_watch_list_does_not_decide() {
    let mut script = Script::new();
    let handle = script.raw();
    let objects = [secret("s", 6), pod("a", 7), pod("b", 8), pod("c", 9)];
    let mut conn = script.accept().await;
    conn.watch_list(&objects, 10);
    let state = until(&handle, |state| state.condition.trouble.is_some()).await;
    let message = state.condition.trouble.unwrap().message;
    let expected = r#"the list has objects of the kind "Pod" where "Secret" was"#;
    assert!(message.ends_with(expected), "{message}");
    assert!(handle.store().is_empty() && !state.condition.synced);
    // Another attempt, not another way: the server can serve WatchLists.
    let mut conn = script.accept().await;
    conn.watch_list(&objects, 10);
    shows(&handle, "default/a@7 default/b@8 default/c@9").await;
    // The same once the kind is known: the list is not given up for it.
    conn.send(event("ERROR", r#"{"code":410}"#));
    let mut conn = script.accept().await;
    conn.watch_list(&[secret("s", 6), pod("a", 11), pod("b", 8)], 12);
    conn.send(event("MODIFIED", &secret("s", 13)))
        .send(event("MODIFIED", &pod("b", 14)));
    // The wrong one may stand for c, so its absence proves nothing (INV-S11).
    shows(&handle, "default/a@11 default/b@14 default/c@9").await;
    let stats = until(&handle, |state| state.stats.unfit == 6).await.stats;
    assert_eq!((stats.watch_lists, stats.lists), (3, 0));
}

/// The same in lists that do not say what they have before their items: a plain `List` never does,
/// and one of custom resources does after them.
#[tokio::test(start_paused = true)]
async fn a_wrong_kind_that_comes_first_in_a_list_without_a_head_does_not_decide() {
    let objects = [secret("s", 6), pod("a", 7), pod("b", 8)].join(",");
    let meta = r#""apiVersion":"v1","metadata":{"resourceVersion":"10"}"#;
    let plain = format!(r#"{{"kind":"List",{meta},"items":[{objects}]}}"#);
    let custom = format!(r#"{{{meta},"items":[{objects}],"kind":"PodList"}}"#);
    for body in [plain, custom] {
        let mut script = Script::new();
        let handle = start(script.builder::<Raw>().list_mode(ListMode::Whole));
        script.accept().await.ok().send(body.clone()).end();
        let state = until(&handle, |state| state.condition.trouble.is_some()).await;
        let trouble = state.condition.trouble.unwrap();
        assert_eq!(trouble.reason, WakeReason::Undecodable, "{body}");
        assert!(handle.store().is_empty(), "{body}");
        script.accept().await.ok().send(body.clone()).end();
        shows(&handle, "default/a@7 default/b@8").await;
        let stats = until(&handle, |state| state.stats.unfit == 3).await.stats;
        assert_eq!(stats.lists, 2, "{body}");
    }
}

/// The pages of a list are counted together: a last page of one wrong object is no other list.
#[tokio::test(start_paused = true)]
async fn a_wrong_kind_alone_in_a_page_does_not_decide() {
    let page = |token: &str, objects: &[String]| {
        format!(
            r#"{{"kind":"List","apiVersion":"v1","metadata":{{"resourceVersion":"10","continue":"{token}"}},"items":[{}]}}"#,
            objects.join(",")
        )
    };
    let mut script = Script::new();
    let handle = start(script.builder::<Raw>().list_mode(ListMode::Paged));
    let first = page("more", &[pod("a", 7), pod("b", 8)]);
    script.accept().await.ok().send(first).end();
    let second = page("", &[secret("s", 6)]);
    script.accept().await.ok().send(second).end();
    shows(&handle, "default/a@7 default/b@8").await;
    let stats = until(&handle, |state| state.stats.unfit == 1).await.stats;
    assert_eq!((stats.lists, stats.pages), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn sec_23_invalid_utf8_hurts_its_own_key_alone() {
    let mut script = Script::new();
    let handle = script.raw();
    let mut conn = script.accept().await;
    let mut bytes = event("ADDED", &pod_with("bad", 8, r#","x":"@""#)).into_bytes();
    let at = bytes.iter().rposition(|&byte| byte == b'@').unwrap();
    bytes[at] = 0xff;
    conn.ok()
        .send(bytes)
        .send(event("ADDED", &pod("a", 7)))
        .send(end_bookmark(10));
    shows(&handle, "default/a@7 default/bad@8").await;
    assert!(matches!(
        handle.store().lookup("default/bad"),
        crate::Lookup::Undecodable { .. }
    ));
}

/// A day of silence on a healthy quiet kind: probes now and then, no stream is reopened for it
/// (INV-L2).
#[tokio::test(start_paused = true)]
async fn design_4_6_a_quiet_healthy_kind_is_not_reopened_but_by_its_timeouts() {
    let mut script = Script::new();
    let handle = script.raw();
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7)], 10);
    let began = tokio::time::Instant::now();
    let (mut probes, mut watches) = (0, 0);
    let mut ends = tokio::time::Instant::now() + Duration::from_secs(300);
    while began.elapsed() < Duration::from_secs(24 * 3600) {
        let next = tokio::select! {
            next = script.accept() => next,
            () = tokio::time::sleep_until(ends) => {
                conn.end();
                continue_watch(&mut script, &mut conn, &mut watches).await;
                ends = tokio::time::Instant::now() + Duration::from_secs(300);
                continue;
            }
        };
        assert_eq!(next.purpose, Purpose::Probe, "{}", next.path);
        probes += 1;
        let mut probe = next;
        probe.ok().send(list(&[], 10)).end();
    }
    let state = handle.state();
    assert!(
        !state.stats.reasons.contains_key(&WakeReason::Silent),
        "{:?}",
        state.stats.reasons
    );
    assert_eq!(state.stats.watch_lists + state.stats.lists, 1, "no relist");
    assert!(
        probes <= 24 * 6,
        "{probes} probes in a day, {watches} watches"
    );
}

async fn continue_watch(script: &mut Script, conn: &mut Conn, watches: &mut u32) {
    *conn = script.accept().await;
    assert!(conn.path.ends_with("&resourceVersion=10"), "{}", conn.path);
    conn.ok();
    *watches += 1;
}

#[tokio::test(start_paused = true)]
async fn pr_w15_a_watch_in_the_servers_future_is_found_by_a_probe_and_opens_an_epoch() {
    let mut script = Script::new();
    let handle = script.raw();
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 70)], 100);
    shows(&handle, "default/a@70").await;
    // etcd was restored: the watch stands, silent, at a version of the future.
    let mut probe = script.accept().await;
    assert_eq!(probe.purpose, Purpose::Probe);
    probe.ok().send(list(&[], 50)).end();
    let mut relist = script.accept().await;
    relist.watch_list(&[pod("a", 40)], 50);
    let mut again = script.accept().await;
    again.watch_list(&[pod("a", 40)], 50);
    shows(&handle, "default/a@40").await;
    assert_eq!(handle.state().condition.epoch, 1);
}
