//! Bad input over real sockets: each has a bounded cost, a named error with its place and a
//! recovery, and none takes its informer down.

use std::{sync::Arc, time::Duration};

use tidings::{
    BackoffConfig, InformerHandle, Limits, Lookup, Payload, Raw, ReflectorConfig, WakeReason,
};

use crate::{scripted::*, support::*};

/// The problem of a key that is there and cannot be used, and the JSON that it had before.
fn undecodable<P: Payload>(handle: &InformerHandle<P>, key: &str) -> (String, Option<String>) {
    match handle.store().lookup(key) {
        Lookup::Undecodable {
            problem,
            last_object,
            ..
        } => {
            let before = last_object.map(|object| object.json().to_owned());
            (problem, before)
        }
        Lookup::Absent | Lookup::Present(_) => panic!("{key} should be undecodable"),
    }
}

#[tokio::test]
async fn pr_f41_inv_s11_a_list_item_without_a_name_is_named_and_proves_no_absence() {
    let mut server = Scripted::new().await;
    let handle = server.raw();
    let nameless = r#"{"metadata":{"namespace":"default","resourceVersion":"8"}}"#.to_owned();
    let body = list(&[object("a", 7), nameless.clone(), object("b", 9)], 10);
    server.list().await.answer(&body).await;
    shows(&handle, &["default/a@7", "default/b@9"]).await;
    let bad = bad(&handle, 1).await;
    assert_eq!((bad.count, &bad.key), (1, &None));
    let place = format!("at byte {} of the list", body.find(&nameless).unwrap());
    assert!(
        bad.problem.contains("no name") && bad.problem.ends_with(&place),
        "{}, not {place}",
        bad.problem
    );
    // What the nameless item may have been is not taken for gone.
    let mut watch = server.watch(10).await.ok().await;
    watch.send(expired()).await;
    let body = list(&[object("a", 7), nameless], 20);
    server.list().await.answer(&body).await;
    let mut watch = server.watch(20).await.ok().await;
    assert_eq!(shown(&handle), ["default/a@7", "default/b@9"]);
    assert_eq!(
        until(&handle, |state| state.stats.keyless == 2)
            .await
            .stats
            .lists,
        2
    );
    // A list without it proves it.
    watch.send(expired()).await;
    server
        .list()
        .await
        .answer(list(&[object("a", 7)], 30))
        .await;
    shows(&handle, &["default/a@7"]).await;
    server.watch(30).await;
    assert_eq!(server.connections(), 6);
}

#[tokio::test]
async fn pr_e7_a_frame_that_is_not_json_is_placed_and_passed() {
    let mut server = Scripted::new().await;
    let handle = server.raw();
    server
        .list()
        .await
        .answer(list(&[object("a", 7)], 10))
        .await;
    let mut watch = server.watch(10).await.ok().await;
    let good = event("ADDED", &object("b", 11));
    watch.send(format!("{good}hunter2 \u{1}\n")).await;
    let (reason, message) = trouble(&handle, "JSON").await;
    assert_eq!(reason, WakeReason::Undecodable);
    assert!(
        message.contains(&format!("at byte {}", good.len())) && !message.contains("hunter2"),
        "{message}"
    );
    assert_eq!(shown(&handle), ["default/a@7", "default/b@11"]);
    watch.dropped().await;
    // Once more at the same version: a list leads past it.
    let mut watch = server.watch(11).await.ok().await;
    watch.send("{\"type\":\"ADDED\",]").await;
    server
        .list()
        .await
        .answer(list(&[object("a", 12), object("b", 11)], 13))
        .await;
    shows(&handle, &["default/a@12", "default/b@11"]).await;
    let mut watch = server.watch(13).await.ok().await;
    watch.send(event("MODIFIED", &object("b", 14))).await;
    shows(&handle, &["default/a@12", "default/b@14"]).await;
    let stats = well(&handle).await.stats;
    assert_eq!(stats.reasons.get(&WakeReason::Undecodable), Some(&2));
    assert_eq!(
        (stats.lists, stats.watches, server.connections()),
        (2, 3, 5)
    );
}

#[tokio::test]
async fn sec_23_inv_s11_invalid_utf8_hurts_its_key_until_it_comes_whole() {
    let mut server = Scripted::new().await;
    let handle = server.raw();
    let whole = object_with("bad", 8, r#","data":{"value":"@"}"#);
    let at = whole.find('@').unwrap();
    let broken = |text: &str| -> Vec<u8> {
        let hurt = |byte| if byte == b'@' { 0xff } else { byte };
        text.bytes().map(hurt).collect()
    };
    let body = list(&[object("a", 7), whole.clone()], 10);
    server.list().await.answer(broken(&body)).await;
    shows(&handle, &["default/a@7", "default/bad@8"]).await;
    let (problem, before) = undecodable(&handle, "default/bad");
    assert!(
        problem.contains(&format!("not UTF-8 at byte {at};")),
        "{problem}"
    );
    assert_eq!(before, None);
    assert_eq!(bad(&handle, 1).await.key.as_deref(), Some("default/bad"));
    // The bytes were hurt on their way: the next list has them whole, in the same version.
    let mut watch = server.watch(10).await.ok().await;
    watch.send(expired()).await;
    server.list().await.answer(&body).await;
    let mut watch = server.watch(10).await.ok().await;
    assert_eq!(
        handle.store().get("default/bad").unwrap().object.json(),
        whole
    );
    // In a watch: the key keeps what it had, and a name that cannot be read hurts nobody.
    let newer = object_with("bad", 11, r#","data":{"value":"@"}"#);
    watch.send(broken(&event("MODIFIED", &newer))).await;
    watch
        .send(broken(&event("MODIFIED", &object("b@d", 12))))
        .await;
    watch.send(event("MODIFIED", &object("a", 13))).await;
    shows(&handle, &["default/a@13", "default/bad@11"]).await;
    assert_eq!(undecodable(&handle, "default/bad").1, Some(whole));
    watch
        .send(event("MODIFIED", &newer.replace("11", "14")))
        .await;
    shows(&handle, &["default/a@13", "default/bad@14"]).await;
    assert!(matches!(
        handle.store().lookup("default/bad"),
        Lookup::Present(_)
    ));
    let state = handle.state();
    assert_eq!((state.poisoned_items, state.stats.keyless), (2, 1));
    assert_eq!((state.stats.lists, state.stats.watches), (2, 2));
}

#[tokio::test]
async fn sec_18_sec_20_deep_nesting_is_served_raw_to_its_bound_and_poisons_beyond() {
    let deep = |levels: usize| {
        let spec = format!(
            r#","data":{}{}"#,
            "[".repeat(levels - 1),
            "]".repeat(levels - 1)
        );
        object_with("deep", 8, &spec)
    };
    let mut server = Scripted::new().await;
    let raw = server.raw();
    let body = list(&[object("a", 7), deep(10_000)], 10);
    server.list().await.answer(body).await;
    shows(&raw, &["default/a@7", "default/deep@8"]).await;
    assert_eq!(
        raw.store().get("default/deep").unwrap().object.json(),
        deep(10_000)
    );
    let mut watch = server.watch(10).await.ok().await;
    let deeper = deep(10_001).replace(r#""8""#, r#""11""#);
    watch.send(event("MODIFIED", &deeper)).await;
    watch.send(event("MODIFIED", &object("a", 12))).await;
    shows(&raw, &["default/a@12", "default/deep@11"]).await;
    let (problem, before) = undecodable(&raw, "default/deep");
    assert!(problem.contains("nested too deep"), "{problem}");
    assert_eq!(before, Some(deep(10_000)));
    watch.send(event("MODIFIED", &object("deep", 13))).await;
    shows(&raw, &["default/a@12", "default/deep@13"]).await;
    assert_eq!((raw.state().stats.lists, raw.state().stats.watches), (1, 1));

    // A typed informer decodes: what its decoder does not bear poisons the key, long before.
    let mut server = Scripted::new().await;
    let typed: InformerHandle<Arc<serde_json::Value>> = start(server.builder());
    let body = list(&[object("a", 7), deep(10_000)], 10);
    server.list().await.answer(body).await;
    shows(&typed, &["default/a@7", "default/deep@8"]).await;
    let (problem, _) = undecodable(&typed, "default/deep");
    assert!(
        problem.contains("nested too deep") && problem.contains("column"),
        "{problem}"
    );
    let mut watch = server.watch(10).await.ok().await;
    watch.send(event("MODIFIED", &object("deep", 11))).await;
    shows(&typed, &["default/a@7", "default/deep@11"]).await;
    assert!(matches!(
        typed.store().lookup("default/deep"),
        Lookup::Present(_)
    ));
}

/// The most memory that this process has had, in bytes, where the system says so.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()
        .map(|kib| kib << 10)
}

#[tokio::test]
async fn sec_16_pr_w5_an_object_of_100_megabytes_is_cut_at_the_object_bound() {
    const MEGABYTES: usize = 100;
    let mut server = Scripted::new().await;
    let handle = server.raw();
    let small = object("huge", 8);
    server
        .list()
        .await
        .answer(list(&[object("a", 7), small.clone()], 10))
        .await;
    let mut watch = server.watch(10).await.ok().await;
    shows(&handle, &["default/a@7", "default/huge@8"]).await;
    let before = peak_bytes();
    let huge = event(
        "MODIFIED",
        &object_with("huge", 11, r#","data":{"value":"@"}"#),
    );
    let (head, tail) = huge.split_once('@').unwrap();
    watch.send(head).await;
    let megabyte = vec![b'x'; 1 << 20];
    for _ in 0..MEGABYTES {
        assert!(watch.send(&megabyte).await, "the stream goes on");
    }
    watch.send(tail).await;
    watch.send(event("MODIFIED", &object("a", 12))).await;
    shows(&handle, &["default/a@12", "default/huge@11"]).await;
    let (problem, last) = undecodable(&handle, "default/huge");
    let bytes = object_with("huge", 11, r#","data":{"value":""}"#).len() + (MEGABYTES << 20);
    assert!(
        problem.contains("too large") && problem.contains(&format!("{bytes} bytes")),
        "{problem}"
    );
    assert_eq!(last, Some(small));
    // It came, and was not kept: neither in the store nor on the way.
    let state = until(&handle, |state| state.bytes_received > bytes as u64).await;
    assert!(
        state.object_bytes < 4096,
        "{} bytes kept",
        state.object_bytes
    );
    let cap = Limits::default().object_bytes_max as u64;
    if let (Some(before), Some(after)) = (before, peak_bytes()) {
        // The bytes at hand double as they grow; other tests of this process have theirs.
        assert!(after < before + 5 * cap, "grew by {} bytes", after - before);
    }
    watch.send(event("MODIFIED", &object("huge", 13))).await;
    shows(&handle, &["default/a@12", "default/huge@13"]).await;
    assert!(matches!(
        handle.store().lookup("default/huge"),
        Lookup::Present(_)
    ));
    assert_eq!((state.stats.lists, state.stats.watches), (1, 1));
}

#[tokio::test]
async fn sec_16_an_item_over_its_bound_poisons_its_key_in_a_list_too() {
    let mut server = Scripted::new().await;
    let limits = Limits {
        object_bytes_max: 2000,
        ..Limits::default()
    };
    let handle = start(server.builder::<Raw>().limits(limits));
    let text = "x".repeat(100_000);
    let huge = object_with("huge", 8, &format!(r#","data":{{"value":"{text}"}}"#));
    // One that has its name at the end was cut before its name.
    let late = format!(r#"{{"data":{{"value":"{text}"}},"metadata":{{"name":"late"}}}}"#);
    let body = list(&[huge, object("a", 7), late], 10);
    server.list().await.answer(&body).await;
    shows(&handle, &["default/a@7", "default/huge@8"]).await;
    assert!(undecodable(&handle, "default/huge").0.contains("too large"));
    let bad = bad(&handle, 2).await;
    assert_eq!(bad.key, None);
    assert!(bad.problem.contains("too large"), "{}", bad.problem);
    let state = handle.state();
    assert!(
        state.object_bytes < 2000,
        "{} bytes kept",
        state.object_bytes
    );
    assert_eq!((state.poisoned_items, state.stats.keyless), (1, 1));
}

#[tokio::test]
async fn pr_e7_an_unknown_event_type_is_named_and_the_third_leads_to_a_list() {
    let mut server = Scripted::new().await;
    let handle = server.raw();
    server
        .list()
        .await
        .answer(list(&[object("a", 7)], 10))
        .await;
    let mut watch = server.watch(10).await.ok().await;
    let good = event("MODIFIED", &object("a", 11));
    let odd = event("PAINTED", &object("b", 12));
    watch.send(format!("{good}{odd}")).await;
    let first = bad(&handle, 1).await.problem;
    assert!(
        first.contains("\"PAINTED\"") && first.contains(&format!("byte {} ", good.len())),
        "{first}"
    );
    assert_eq!(handle.state().condition.trouble, None, "one is passed over");
    watch.send(format!("{odd}{odd}")).await;
    let (reason, message) = trouble(&handle, "unknown type").await;
    assert_eq!(reason, WakeReason::UnfitEvents, "{message}");
    assert_eq!(shown(&handle), ["default/a@11"]);
    server
        .list()
        .await
        .answer(list(&[object("a", 11), object("b", 12)], 13))
        .await;
    shows(&handle, &["default/a@11", "default/b@12"]).await;
    server.watch(13).await;
    let state = well(&handle).await;
    assert_eq!((state.stats.unfit, server.connections()), (3, 4));
}

#[tokio::test]
async fn inv_s11_an_unknown_event_among_initial_ones_proves_no_absence() {
    let mut server = Scripted::new().await;
    let config = ReflectorConfig {
        list_mode: tidings::ListMode::WatchList,
        ..impatient()
    };
    let handle = start(server.builder::<Raw>().reflector(config));
    let end = |version: u64| {
        let meta = r#"{"k8s.io/initial-events-end":"true"}"#;
        let object = format!(
            r#"{{"kind":"ConfigMap","metadata":{{"resourceVersion":"{version}","annotations":{meta}}}}}"#
        );
        event("BOOKMARK", &object)
    };
    let (a, b) = (
        event("ADDED", &object("a", 7)),
        event("ADDED", &object("b", 8)),
    );
    let mut stream = server.accept().await.ok().await;
    stream.send(format!("{a}{b}{}{}", end(10), expired())).await;
    let mut stream = server.accept().await.ok().await;
    let odd = event("PAINTED", &object("b", 8));
    stream
        .send(format!("{a}{odd}{}{}", end(20), expired()))
        .await;
    let mut stream = server.accept().await.ok().await;
    assert_eq!(shown(&handle), ["default/a@7", "default/b@8"]);
    stream.send(format!("{a}{}", end(30))).await;
    shows(&handle, &["default/a@7"]).await;
    assert_eq!(handle.state().stats.watch_lists, 3);
}

/// An endless list: items until the client has had enough. Returns how many bytes it took.
async fn endless(conn: Conn) -> u64 {
    let mut conn = conn.ok().await;
    let mut sent = 0;
    conn.send(list_head(r#""resourceVersion":"10""#)).await;
    for version in 1.. {
        let item = object(&format!("endless{version}"), version) + ",";
        if !conn.send(&item).await {
            break;
        }
        sent += item.len() as u64;
        assert!(sent < 64 << 20, "the list is not given up");
    }
    sent
}

#[tokio::test]
async fn sec_16_a_list_that_never_ends_is_given_up_at_its_items_or_its_bytes() {
    let by_items = Limits {
        list_items_max: 1000,
        ..Limits::default()
    };
    let by_bytes = Limits {
        list_bytes_max: 100_000,
        ..Limits::default()
    };
    for (limits, word) in [(by_items, "too many items"), (by_bytes, "too long")] {
        let mut server = Scripted::new().await;
        let handle = start(server.builder::<Raw>().limits(limits));
        let whole = list(&[object("a", 7)], 10);
        server.list().await.answer(&whole).await;
        let mut watch = server.watch(10).await.ok().await;
        watch.send(expired()).await;
        endless(server.list().await).await;
        let (reason, message) = trouble(&handle, word).await;
        assert_eq!(reason, WakeReason::Undecodable);
        assert!(message.contains("at byte "), "{message}");
        let state = handle.state();
        assert!(
            state.list_bytes < 400_000,
            "{word}: {} bytes taken",
            state.list_bytes
        );
        assert_eq!(shown(&handle), ["default/a@7"], "the old state is served");
        server
            .list()
            .await
            .answer(list(&[object("a", 11)], 12))
            .await;
        shows(&handle, &["default/a@11"]).await;
        server.watch(12).await;
        assert_eq!((handle.state().stats.lists, server.connections()), (3, 5));
    }
}

#[tokio::test]
async fn pr_l13_a_list_whose_pages_never_end_is_given_up_and_taken_again() {
    let page = |name: &str, token: &str| {
        let meta = format!(r#""resourceVersion":"10","continue":"{token}""#);
        format!("{}{}]}}", list_head(&meta), object(name, 7))
    };
    let mut server = Scripted::new().await;
    let config = ReflectorConfig {
        list_mode: tidings::ListMode::Paged,
        list_pages_max: 3,
        ..impatient()
    };
    let handle = start(server.builder::<Raw>().reflector(config));
    // The same token twice: a circle.
    server.list().await.answer(page("a", "round")).await;
    server.list().await.answer(page("b", "round")).await;
    let (reason, message) = trouble(&handle, "repeats itself").await;
    assert_eq!(reason, WakeReason::Undecodable, "{message}");
    // Ever new tokens.
    for token in ["one", "two", "three"] {
        server.list().await.answer(page(token, token)).await;
    }
    trouble(&handle, "more than 3 pages").await;
    assert!(handle.store().is_empty() && !handle.state().is_synced());
    let fresh = server.list().await;
    assert!(!fresh.path.contains("continue="), "{}", fresh.path);
    fresh.answer(list(&[object("a", 7)], 10)).await;
    shows(&handle, &["default/a@7"]).await;
    server.watch(10).await;
    let stats = well(&handle).await.stats;
    assert_eq!((stats.lists, stats.pages, server.connections()), (3, 3, 7));
}

fn secret(name: &str, version: u64) -> String {
    object(name, version).replace("ConfigMap", "Secret")
}

#[tokio::test]
async fn a_wrong_kind_is_never_stored_and_a_lasting_one_is_the_truth() {
    let mut server = Scripted::new().await;
    let handle = server.raw();
    // An item of another kind among the others.
    let body = list(&[object("a", 7), secret("s", 8)], 10);
    server.list().await.answer(body).await;
    shows(&handle, &["default/a@7"]).await;
    let named = bad(&handle, 1).await;
    assert_eq!(named.key.as_deref(), Some("default/s"));
    assert!(
        named.problem.contains(r#""Secret""#) && named.problem.contains(r#""ConfigMap""#),
        "{}",
        named.problem
    );
    // Events of another kind: three lead to a list.
    let mut watch = server.watch(10).await.ok().await;
    for version in 11..14 {
        watch.send(event("ADDED", &secret("s", version))).await;
    }
    let (reason, _) = trouble(&handle, "another kind").await;
    assert_eq!(reason, WakeReason::UnfitEvents);
    // A whole list of another kind: given up once, with the old state served.
    let secrets = list(&[secret("s", 14)], 15).replace("ConfigMapList", "SecretList");
    server.list().await.answer(&secrets).await;
    let (reason, message) = trouble(&handle, r#""Secret""#).await;
    assert_eq!(reason, WakeReason::Undecodable, "{message}");
    assert_eq!(shown(&handle), ["default/a@7"]);
    server
        .list()
        .await
        .answer(list(&[object("a", 16)], 17))
        .await;
    shows(&handle, &["default/a@16"]).await;
    let mut watch = server.watch(17).await.ok().await;
    well(&handle).await;
    // The kind came back under another name: the second list in a row is believed.
    watch.send(expired()).await;
    let secrets = list(&[secret("s", 18)], 19).replace("ConfigMapList", "SecretList");
    server.list().await.answer(&secrets).await;
    trouble(&handle, r#""Secret""#).await;
    server.list().await.answer(&secrets).await;
    shows(&handle, &["default/s@18"]).await;
    let mut watch = server.watch(19).await.ok().await;
    watch.send(event("MODIFIED", &secret("s", 20))).await;
    shows(&handle, &["default/s@20"]).await;
    let state = well(&handle).await;
    assert_eq!((state.stats.unfit, state.stats.lists), (4, 5));
}

#[tokio::test]
async fn pr_w12_sec_27_a_server_that_closes_at_once_costs_counted_attempts() {
    const TIMES: u32 = 6;
    let mut server = Scripted::new().await;
    let mut config = server.config();
    config.credentials = tidings_http::Credentials::Token("hunter2".to_owned().into());
    let handle = start(over::<Raw>(config));
    let url = format!("http://{}", server.address);
    // Before the head of any answer: each attempt is one connection, and is waited for.
    for _ in 0..TIMES {
        drop(server.list().await);
    }
    let attempts = |state: &tidings::State| {
        let trouble = state.condition.trouble.as_ref();
        trouble.map_or(0, |trouble| trouble.attempts)
    };
    let state = until(&handle, |state| attempts(state) == TIMES).await;
    let trouble = state.condition.trouble.unwrap();
    assert_eq!(trouble.reason, WakeReason::Transport);
    assert!(
        trouble.message.contains(&url) && !trouble.message.contains("hunter2"),
        "{}",
        trouble.message
    );
    server
        .list()
        .await
        .answer(list(&[object("a", 7)], 10))
        .await;
    shows(&handle, &["default/a@7"]).await;
    assert_eq!(handle.state().condition.trouble, None);
    // After the head, without an event: the fourth short watch in a row leads to a list.
    for _ in 0..4 {
        server.watch(10).await.ok().await.end().await;
    }
    let short =
        |state: &tidings::State| state.stats.reasons.get(&WakeReason::ShortStreams) == Some(&4);
    let state = until(&handle, short).await;
    assert_eq!(attempts(&state), 4);
    assert_eq!(shown(&handle), ["default/a@7"], "what is known is served");
    server
        .list()
        .await
        .answer(list(&[object("a", 11)], 12))
        .await;
    shows(&handle, &["default/a@11"]).await;
    server.watch(12).await;
    well(&handle).await;
    let stats = handle.state().stats;
    assert_eq!((stats.lists, stats.watches), (u64::from(TIMES) + 2, 5));
    assert_eq!(server.connections() as u64, stats.lists + stats.watches);
}

#[tokio::test]
async fn inv_l3_no_attempt_follows_a_failure_without_a_wait() {
    const WAIT: Duration = Duration::from_secs(3600);
    let mut server = Scripted::new().await;
    let config = ReflectorConfig {
        backoff: BackoffConfig {
            initial: WAIT,
            max: WAIT,
            ..BackoffConfig::default()
        },
        ..impatient()
    };
    let handle = start(server.builder::<Raw>().reflector(config));
    drop(server.list().await);
    trouble(&handle, "ended before an answer").await;
    let state = handle.state();
    let tidings::Activity::Waiting { until: due } = state.condition.activity else {
        panic!("{}", state.summary());
    };
    assert!(due.saturating_since(state.at) >= WAIT - DEADLINE);
    assert_eq!(server.connections(), 1);
}
