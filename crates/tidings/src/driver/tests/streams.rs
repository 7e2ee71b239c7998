//! From bytes to the store, over every kind of stream.

use std::{io::Write as _, sync::Mutex};

use serde::Deserialize;

use super::{script::*, *};
use crate::{Event, ListMode, Lookup, Raw};

#[tokio::test(start_paused = true)]
async fn a_watch_list_becomes_a_live_copy_and_handlers_see_the_store_updated() {
    let mut script = Script::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    let builder = script
        .builder::<Raw>()
        .handler(move |event: Event<'_, Raw>| {
            seen.lock()
                .unwrap()
                .push(format!("{:?}", event.entry().object));
        });
    let handle = start(builder);
    let mut conn = script.accept().await;
    assert!(
        conn.path.contains("sendInitialEvents=true"),
        "{}",
        conn.path
    );
    assert_eq!(conn.purpose, Purpose::Watch);
    conn.watch_list(&[pod("a", 7), pod("b", 9)], 10);
    handle.wait_synced(Duration::from_secs(5)).await.unwrap();
    conn.send(event("MODIFIED", &pod("a", 11)))
        .send(event("DELETED", &pod("b", 12)));
    shows(&handle, "default/a@11").await;
    assert_eq!(handle.store().resource_version().unwrap().to_string(), "12");
    let json = handle.store().get("default/a").unwrap();
    assert!(json.object.json().contains(r#""phase":"Running""#));
    let told = told.lock().unwrap().clone();
    assert_eq!(
        told,
        ["default/a@7", "default/b@9", "default/a@11", "default/b@12"]
    );
}

#[tokio::test(start_paused = true)]
async fn pr_f24_any_cut_of_the_bytes_gives_the_same_store() {
    for size in [1, 2, 3, 7, 64, 1000] {
        let mut script = Script::new();
        let handle = script.raw();
        let mut conn = script.accept().await;
        conn.ok();
        let stream = [
            event("ADDED", &pod("a", 7)),
            event("ADDED", &pod_with("b", 8, r#","x":"\u00fc \\\" {[ \"""#)),
            end_bookmark(10),
            event("MODIFIED", &pod("a", 11)),
        ]
        .concat();
        for chunk in stream.as_bytes().chunks(size) {
            conn.send(chunk.to_vec());
        }
        shows(&handle, "default/a@11 default/b@8").await;
        handle.stop();
    }
}

#[tokio::test(start_paused = true)]
async fn pr_s3_a_server_without_watch_list_is_listed_in_pages_and_watched() {
    let mut script = Script::new();
    let handle = script.raw();
    let mut conn = script.accept().await;
    let refusal = r#"{"kind":"Status","code":422,"reason":"Invalid","message":"forbidden"}"#;
    conn.answer(422, "application/json").send(refusal).end();
    let mut page = script.accept().await;
    assert_eq!(
        (page.path.as_str(), page.purpose),
        ("/api/v1/pods?limit=500", Purpose::List)
    );
    let body = list(&[pod("a", 7)], 10).replace(r#""10""#, r#""10","continue":"T""#);
    page.ok().send(body).end();
    let mut page = script.accept().await;
    assert_eq!(page.path, "/api/v1/pods?limit=500&continue=T");
    page.ok().send(list(&[pod("b", 8)], 10)).end();
    let mut watch = script.accept().await;
    assert!(
        watch.path.ends_with("&resourceVersion=10"),
        "{}",
        watch.path
    );
    watch.ok().send(event("ADDED", &pod("c", 12)));
    shows(&handle, "default/a@7 default/b@8 default/c@12").await;
}

#[tokio::test(start_paused = true)]
async fn cg_v11_pr_w7_gzip_members_are_delivered_flush_by_flush() {
    let member = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let mut script = Script::new();
    let handle = script.raw();
    let mut conn = script.accept().await;
    conn.answer_encoded("gzip");
    conn.send(member(&event("ADDED", &pod("a", 7))))
        .send(member(&end_bookmark(10)));
    shows(&handle, "default/a@7").await;
    // Each later event is a member of its own, cut anywhere.
    for byte in member(&event("MODIFIED", &pod("a", 11))) {
        conn.send(vec![byte]);
    }
    shows(&handle, "default/a@11").await;
    assert!(handle.state().list_bytes > 0);
}

#[derive(Debug, Deserialize)]
struct Phase {
    status: Status,
}

#[derive(Debug, Deserialize)]
struct Status {
    phase: String,
}

#[tokio::test(start_paused = true)]
async fn a_projection_is_decoded_once_and_a_misfit_poisons_its_key_alone() {
    let mut script = Script::new();
    let handle = start(script.builder::<Arc<Phase>>());
    let mut conn = script.accept().await;
    let misfit = pod_with("b", 8, r#","status":{"phase":["hunter2"]}"#);
    conn.watch_list(&[pod("a", 7), misfit], 10);
    shows(&handle, "default/a@7 default/b@8").await;
    let Lookup::Present(entry) = handle.store().lookup("default/a") else {
        panic!("a is present");
    };
    assert_eq!(entry.effective().unwrap().status.phase, "Running");
    assert_eq!(
        entry.object.json(),
        "",
        "the JSON is not kept beside the value"
    );
    let Lookup::Undecodable {
        problem,
        last_good: None,
        ..
    } = handle.store().lookup("default/b")
    else {
        panic!("b is undecodable");
    };
    assert!(
        problem.contains("column") && !problem.contains("hunter2"),
        "{problem}"
    );
    assert!(matches!(handle.store().lookup("default/c"), Lookup::Absent));
    // It is mended, then broken again: the last good value stays.
    conn.send(event("MODIFIED", &pod("b", 11)));
    conn.send(event("MODIFIED", &pod_with("b", 12, r#","status":7"#)));
    shows(&handle, "default/a@7 default/b@12").await;
    let Lookup::Undecodable {
        last_good: Some(last),
        ..
    } = handle.store().lookup("default/b")
    else {
        panic!("b has a last good value");
    };
    assert_eq!(last.status.phase, "Running");
}

#[tokio::test(start_paused = true)]
async fn sec_20_an_object_nested_200_deep_is_served_raw_and_poisons_only_itself_typed() {
    let deep = format!(r#","spec":{}{}"#, "[".repeat(200), "]".repeat(200));
    let objects = [pod("a", 7), pod_with("deep", 8, &deep)];
    let mut script = Script::new();
    let raw = script.raw();
    let mut conn = script.accept().await;
    conn.watch_list(&objects, 10);
    shows(&raw, "default/a@7 default/deep@8").await;
    assert!(matches!(
        raw.store().lookup("default/deep"),
        Lookup::Present(_)
    ));

    let mut script = Script::new();
    let typed = start(script.builder::<Arc<serde_json::Value>>());
    let mut conn = script.accept().await;
    conn.watch_list(&objects, 10);
    shows(&typed, "default/a@7 default/deep@8").await;
    assert!(matches!(
        typed.store().lookup("default/deep"),
        Lookup::Undecodable { .. }
    ));
    assert!(matches!(
        typed.store().lookup("default/a"),
        Lookup::Present(_)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_relist_that_changes_nothing_tells_nobody() {
    let mut script = Script::new();
    let told = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&told);
    let builder = script.builder::<Raw>().list_mode(ListMode::Whole);
    let handle = start(builder.handler(move |_: Event<'_, Raw>| *seen.lock().unwrap() += 1));
    script
        .accept()
        .await
        .ok()
        .send(list(&[pod("a", 7), pod("b", 8)], 10))
        .end();
    let mut watch = script.accept().await;
    watch.ok().send(event(
        "ERROR",
        r#"{"kind":"Status","code":410,"reason":"Expired"}"#,
    ));
    script
        .accept()
        .await
        .ok()
        .send(list(&[pod("a", 7), pod("b", 8)], 20))
        .end();
    let mut watch = script.accept().await;
    assert!(watch.path.ends_with("&resourceVersion=20"));
    watch.ok();
    until(&handle, |state| state.condition.trouble.is_none()).await;
    assert_eq!(*told.lock().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_at_hand_is_published_together_up_to_a_bound() {
    let mut script = Script::new();
    let handle = script.raw();
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7)], 10);
    handle.wait_synced(Duration::from_secs(5)).await.unwrap();
    let before = handle.store().snapshot().generation();
    // A server writes each event as a chunk of its own.
    for version in 11..31 {
        conn.send(event("MODIFIED", &pod("a", version)));
    }
    shows(&handle, "default/a@30").await;
    assert_eq!(handle.store().snapshot().generation(), before + 1);
    let large = format!(r#","annotations":{{"x":"{}"}}"#, "y".repeat(60 << 10));
    for version in 31..37 {
        conn.send(event("MODIFIED", &pod_with("a", version, &large)));
    }
    shows(&handle, "default/a@36").await;
    let publications = handle.store().snapshot().generation() - before - 1;
    assert_eq!(
        publications, 2,
        "360 KiB in batches of 128 KiB and what follows"
    );
}

#[tokio::test(start_paused = true)]
async fn an_end_at_hand_is_taken_after_what_came_before_it() {
    let mut script = Script::new();
    let handle = script.raw();
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7)], 10);
    handle.wait_synced(Duration::from_secs(5)).await.unwrap();
    conn.send(event("MODIFIED", &pod("a", 11)));
    conn.end();
    let again = script.accept().await;
    assert!(
        again.path.ends_with("&resourceVersion=11"),
        "{}",
        again.path
    );
    shows(&handle, "default/a@11").await;
}
