//! The contract as a user of the informer meets it: what is decoded and how often, what is skipped,
//! which answers are read how, and what a stop leaves.

use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering},
};

use serde::Deserialize;
use tidings_api::{Resource, scan::Keep};

use super::{script::*, *};
use crate::{
    Event, HandlerOptions, ListMode, Lookup, Raw, Removal, WakeReason, payload::DecodeError,
};

const SYNC: Duration = Duration::from_secs(5);

const EXPIRED: &str = r#"{"kind":"Status","code":410,"reason":"Expired"}"#;

fn status(code: u16, reason: &str) -> String {
    format!(r#"{{"kind":"Status","apiVersion":"v1","code":{code},"reason":"{reason}"}}"#)
}

#[tokio::test(start_paused = true)]
async fn cg_r21_pr_e8_what_is_of_another_kind_or_has_no_metadata_is_skipped_and_moves_nothing() {
    let table = r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"11"},"columnDefinitions":[],"rows":[]}"#;
    let secret = pod("s", 12).replace(r#""Pod""#, r#""Secret""#);
    for odd in [table, secret.as_str(), r#"{"kind":"Pod"}"#, "{}", "7"] {
        let mut script = Script::new();
        let handle = script.raw();
        let mut conn = script.accept().await;
        conn.watch_list(&[pod("a", 7)], 10);
        handle.wait_synced(SYNC).await.unwrap();
        conn.send(event("ADDED", odd));
        until(&handle, |state| state.stats.unfit == 1).await;
        conn.fail("cut");
        let mut watch = script.accept().await;
        assert!(watch.path.ends_with("&resourceVersion=10"), "{odd}");
        watch.ok().send(event("MODIFIED", &pod("a", 13)));
        shows(&handle, "default/a@13").await;
    }
}

#[derive(Debug, Deserialize)]
struct Phase {
    status: PhaseStatus,
}

#[derive(Debug, Deserialize)]
struct PhaseStatus {
    phase: String,
}

/// A live event that the store cannot take as what it should be is not lost: its key says so, serves
/// the last good value, and heals with the next change; the version moves with the record.
#[tokio::test(start_paused = true)]
async fn cg_r22_pr_f40_an_event_that_cannot_be_decoded_is_kept_as_such_and_shown() {
    let mut script = Script::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    let builder = script.builder::<Arc<Phase>>();
    let handle = start(builder.handler(move |event: Event<'_, Arc<Phase>>| {
        let kind = match event {
            Event::Added { .. } => "added",
            Event::Updated { .. } => "updated",
            Event::Deleted { .. } => "deleted",
            Event::Poisoned { .. } => "poisoned",
        };
        let line = format!("{kind} {:?}", event.entry().object);
        seen.lock().unwrap().push(line);
    }));
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7), pod("b", 8)], 10);
    handle.wait_synced(SYNC).await.unwrap();
    told.lock().unwrap().clear();
    let misfit = |version| pod_with("a", version, r#","status":{"phase":["x"]}"#);
    conn.send(event("MODIFIED", &misfit(11)))
        .send(event("MODIFIED", &pod("b", 12)));
    shows(&handle, "default/a@11 default/b@12").await;
    let Lookup::Undecodable { last_good, .. } = handle.store().lookup("default/a") else {
        panic!("a is there, and cannot be decoded");
    };
    assert_eq!(last_good.unwrap().status.phase, "Running");
    until(&handle, |state| state.poisoned_items == 1).await;
    conn.fail("cut");
    let mut watch = script.accept().await;
    assert!(
        watch.path.ends_with("&resourceVersion=12"),
        "{}",
        watch.path
    );
    watch.ok().send(event("MODIFIED", &pod("a", 13)));
    shows(&handle, "default/a@13 default/b@12").await;
    assert!(matches!(
        handle.store().lookup("default/a"),
        Lookup::Present(_)
    ));
    assert_eq!(
        *told.lock().unwrap(),
        [
            "poisoned default/a@11",
            "updated default/b@12",
            "updated default/a@13"
        ]
    );
}

static DECODED: AtomicU32 = AtomicU32::new(0);

#[derive(Clone)]
struct Counted(u32);

impl Payload for Counted {
    const KEEP: Keep = Keep::Nothing;
    const DECODES: bool = true;

    fn decode(_json: &str) -> Result<Self, DecodeError> {
        Ok(Self(DECODED.fetch_add(1, Ordering::Relaxed)))
    }
}

/// Three objects as initial events are three decodes; a tombstone is the stored value, and a resync
/// and a late handler are told what is stored.
#[tokio::test(start_paused = true)]
async fn cg_r32_cg_f6_each_object_is_decoded_once_and_a_tombstone_never() {
    let mut script = Script::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    let options = HandlerOptions {
        resync: Some(Duration::from_secs(20)),
    };
    let handler = move |event: Event<'_, Counted>| {
        let number = event.entry().effective().unwrap().0;
        seen.lock()
            .unwrap()
            .push((event.entry().object.name().to_owned(), number));
    };
    let builder = script.builder::<Counted>();
    let handle = start(builder.handler_with(options, handler));
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7), pod("b", 8), pod("c", 9)], 10);
    handle.wait_synced(SYNC).await.unwrap();
    until(&handle, |state| state.handlers[0].events == 6).await;
    assert_eq!(DECODED.load(Ordering::Relaxed), 3);
    conn.send(event("ERROR", EXPIRED));
    script.accept().await.watch_list(&[pod("a", 7)], 20);
    shows(&handle, "default/a@7").await;
    assert_eq!(
        DECODED.load(Ordering::Relaxed),
        4,
        "one for the object that the list has"
    );
    let mut tombstones = told.lock().unwrap()[6..].to_vec();
    tombstones.sort();
    assert_eq!(tombstones, [("b".to_owned(), 1), ("c".to_owned(), 2)]);
}

/// What fails inside the informer is part of its state.
#[tokio::test(start_paused = true)]
async fn cg_p7_cg_r6_what_fails_is_in_the_state() {
    let mut script = Script::new();
    let builder = script.builder::<Raw>().index("all", |entry, emit| {
        assert!(entry.object.name() != "odd", "the index function's own bug");
        emit("all");
    });
    let handle = start(builder.handler(|event: Event<'_, Raw>| {
        assert!(
            event.entry().object.name() != "panics",
            "the handler's own bug"
        );
    }));
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7), pod("odd", 8), pod("panics", 9)], 10);
    let state = until(&handle, |state| {
        state.handlers.iter().any(|handler| handler.panics == 1)
    })
    .await;
    assert_eq!((state.index_failures, state.objects), (1, 3));
    conn.send(event("DELETED", &pod("never", 11)));
    until(&handle, |state| state.dropped.unknown_delete == 1).await;
    conn.fail("connection reset");
    let state = until(&handle, |state| state.condition.trouble.is_some()).await;
    let trouble = state.condition.trouble.unwrap();
    assert_eq!(trouble.reason, WakeReason::Transport);
    assert!(trouble.message.contains("connection reset"));
}

/// Only JSON is asked for, and only JSON is read, whatever comes.
#[tokio::test(start_paused = true)]
async fn pr_n2_pr_n3_json_is_asked_for_and_another_media_type_is_named() {
    for media in [
        "application/vnd.kubernetes.protobuf;stream=watch",
        "application/cbor-seq",
        "text/plain",
    ] {
        let mut script = Script::new();
        let handle = script.raw();
        let mut conn = script.accept().await;
        assert_eq!(conn.accept, "application/json");
        conn.answer(200, media).send(vec![0x6b, 0x38, 0x73, 0]);
        let state = until(&handle, |state| state.condition.trouble.is_some()).await;
        let message = state.condition.trouble.unwrap().message;
        let name = media.split(';').next().unwrap();
        assert!(message.contains(name), "{message}");
        script.accept().await.watch_list(&[pod("a", 7)], 10);
        shows(&handle, "default/a@7").await;
    }
    // A server that refuses even that is asked again, slowly, and not by another encoding.
    let mut script = Script::new();
    let _handle = script.raw();
    script.accept().await.answer(415, "application/json").end();
    let began = tokio::time::Instant::now();
    assert_eq!(script.accept().await.accept, "application/json");
    assert!(began.elapsed() >= Duration::from_secs(60));
}

/// A refusal is read by its code, whatever its body is: plain text, a page, pretty JSON, nothing.
#[tokio::test(start_paused = true)]
async fn pr_w10_pr_s5_pr_s11_a_refusals_body_may_be_anything() {
    let pretty =
        "{\n  \"kind\": \"Status\",\n  \"code\": 429,\n  \"reason\": \"TooManyRequests\"\n}\n";
    for (code, media, body, reason) in [
        (
            429,
            "text/plain; charset=utf-8",
            "Too many requests, please try again later.\n",
            WakeReason::Throttled,
        ),
        (429, "application/json", pretty, WakeReason::Throttled),
        (
            500,
            "text/plain",
            "This request caused apiserver to panic.",
            WakeReason::WatchListFailed,
        ),
        (
            503,
            "text/html",
            "<html>no backend</html>",
            WakeReason::WatchListFailed,
        ),
        (403, "application/json", "", WakeReason::Forbidden),
        (
            404,
            "text/plain",
            "404 page not found",
            WakeReason::KindGone,
        ),
    ] {
        let mut script = Script::new();
        let handle = script.raw();
        script.accept().await.answer(code, media).send(body).end();
        let state = until(&handle, |state| state.condition.trouble.is_some()).await;
        let trouble = state.condition.trouble.unwrap();
        assert_eq!(trouble.reason, reason, "{code} {media}");
        assert!(trouble.message.contains(&code.to_string()));
        assert!(!trouble.message.contains("html"), "{}", trouble.message);
        script.accept().await.watch_list(&[pod("a", 7)], 10);
        shows(&handle, "default/a@7").await;
    }
}

/// The blueprint of a list, and any other annotation, is nothing to depend on.
#[tokio::test(start_paused = true)]
async fn pr_e6_the_annotation_with_a_blueprint_means_nothing() {
    let mut script = Script::new();
    let handle = script.raw();
    let mut conn = script.accept().await;
    let with_blueprint = |version, end: &str| {
        let object = format!(
            r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"resourceVersion":"{version}","annotations":{{"k8s.io/initial-events-list-blueprint":"eyJraW5kIjoiUG9kTGlzdCJ9"{end}}}}}}}"#
        );
        event("BOOKMARK", &object)
    };
    // Had the first bookmark ended the list, the object after it would be one from the past.
    conn.ok()
        .send(event("ADDED", &pod("a", 7)))
        .send(with_blueprint(9, ""))
        .send(event("ADDED", &pod("c", 8)))
        .send(with_blueprint(10, r#","k8s.io/initial-events-end":"true""#));
    shows(&handle, "default/a@7 default/c@8").await;
    assert_eq!(handle.store().resource_version().unwrap().to_string(), "10");
    assert_eq!(handle.state().stats.watch_lists, 1);
}

/// Two streams of one client: one is throttled and fails, the other one follows its server; neither
/// the order nor the delays of one are the other's.
#[tokio::test(start_paused = true)]
async fn pr_e14_pr_f53_streams_have_nothing_to_do_with_one_another() {
    let mut script = Script::new();
    let failing = script.raw();
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7)], 10);
    shows(&failing, "default/a@7").await;
    let scope = Scope::namespaced(Resource::parse("v1/pods").unwrap(), "x");
    let healthy = start(script.builder_of::<Raw>(scope));
    let mut good = script.accept().await;
    good.watch_list(&[pod("b", 90)], 100);
    shows(&healthy, "default/b@90").await;
    conn.fail("reset");
    for round in 0..8 {
        script.accept().await.answer(500, "text/plain").end();
        good.send(event("MODIFIED", &pod("b", 101 + round)));
        shows(&healthy, &format!("default/b@{}", 101 + round)).await;
    }
    assert!(failing.state().condition.stale_since.is_some());
    assert_eq!(healthy.state().condition.trouble, None);
    // The first failure of the healthy one waits as a first one, not as the ninth.
    let began = tokio::time::Instant::now();
    let slow = script.accept().await;
    let waited = began.elapsed();
    good.fail("reset");
    let next = script.accept().await;
    assert!(next.path.contains("/namespaces/x/"), "{}", next.path);
    assert!(began.elapsed() - waited < Duration::from_secs(2));
    drop(slow);
}

/// Each answer is read as it says it is: the next server behind the address may be another one.
#[tokio::test(start_paused = true)]
async fn pr_f11_each_answer_is_read_as_it_says() {
    use std::io::Write as _;
    let zipped = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let mut script = Script::new();
    let handle = start(script.builder::<Raw>().list_mode(ListMode::Whole));
    // A typed list, compressed; then a plain one with its metadata last.
    let typed = zipped(&list(&[pod("a", 7)], 10));
    script
        .accept()
        .await
        .answer_encoded("gzip")
        .send(typed)
        .end();
    let mut watch = script.accept().await;
    watch.ok().send(event("MODIFIED", &pod("a", 11)));
    shows(&handle, "default/a@11").await;
    watch.send(event("ERROR", EXPIRED));
    let custom = format!(
        r#"{{"apiVersion":"v1","items":[{}],"kind":"PodList","metadata":{{"continue":"","resourceVersion":"20"}}}}"#,
        pod("a", 12)
    );
    script.accept().await.ok().send(custom).end();
    let mut watch = script.accept().await;
    let bytes = zipped(&event("MODIFIED", &pod("a", 21)));
    watch.answer_encoded("gzip").send(bytes);
    shows(&handle, "default/a@21").await;
}

/// Descriptors run out for an hour: what is known is served, and the watch goes on where it was.
#[tokio::test(start_paused = true)]
async fn pr_f66_an_hour_without_descriptors_costs_no_list() {
    let mut script = Script::new();
    let handle = script.raw();
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7)], 10);
    shows(&handle, "default/a@7").await;
    let began = tokio::time::Instant::now();
    conn.fail("too many open files");
    let mut tries = 0;
    while began.elapsed() < Duration::from_secs(3600) {
        let refused = script.accept().await;
        assert!(refused.path.ends_with("&resourceVersion=10"));
        drop(refused);
        tries += 1;
    }
    assert!((60..150).contains(&tries), "{tries} tries in an hour");
    assert_eq!(handle.store().len(), 1);
    script
        .accept()
        .await
        .ok()
        .send(event("MODIFIED", &pod("a", 11)));
    shows(&handle, "default/a@11").await;
}

#[tokio::test(start_paused = true)]
async fn cg_i11_a_stopped_informer_takes_nothing_more_and_serves_what_it_had() {
    let mut script = Script::new();
    let informer = script.builder::<Raw>().build().unwrap();
    let handle = informer.handle();
    let running = tokio::spawn(informer.run());
    script.accept().await.watch_list(&[pod("a", 7)], 10);
    shows(&handle, "default/a@7").await;
    let id = handle
        .add_handler(HandlerOptions::default(), |_: Event<'_, Raw>| {})
        .await
        .unwrap();
    handle.stop();
    running.await.unwrap();
    let added = handle.add_handler(HandlerOptions::default(), |_: Event<'_, Raw>| {});
    assert!(added.await.is_err());
    assert!(handle.add_index("x", |_, _| {}).await.is_err());
    assert!(handle.remove_handler(id, Removal::Drain).await.is_err());
    assert!(handle.resync().await.is_err());
    handle.stop();
    assert_eq!(script.pending(), 0, "nothing is asked for again");
    assert!(handle.store().get("default/a").is_some());
    assert_eq!(handle.state().summary(), "stopped");
}

/// Each refusal in the middle of a watch, with the next request that follows it.
#[tokio::test(start_paused = true)]
async fn cg_r20_an_error_event_is_acted_upon_by_its_row() {
    for (code, reason, relists) in [
        (410, "Expired", true),
        (410, "Gone", true),
        (429, "TooManyRequests", false),
        (500, "InternalError", false),
        (504, "Timeout", false),
    ] {
        let mut script = Script::new();
        let handle = script.raw();
        let mut conn = script.accept().await;
        conn.watch_list(&[pod("a", 7)], 10);
        shows(&handle, "default/a@7").await;
        conn.send(event("ERROR", &status(code, reason)));
        let next = script.accept().await;
        let is_relist = next.path.contains("sendInitialEvents=true");
        assert_eq!(is_relist, relists, "{code} {reason}: {}", next.path);
        conn.dropped().await;
    }
}
