//! Handles: waiting, subscriptions, late handlers, sharing, stopping.

use std::sync::Mutex;

use super::{script::*, *};
use crate::{
    Event, Factory, HandlerOptions, Raw, Removal, Resource, ResourceVersion, SubscriptionEvent,
    SyncError, WaitOutcome,
};

const SYNC: Duration = Duration::from_secs(5);

async fn synced(script: &mut Script) -> (InformerHandleRaw, Conn) {
    let handle = script.raw();
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7), pod("b", 8)], 10);
    handle.wait_synced(SYNC).await.unwrap();
    (handle, conn)
}

type InformerHandleRaw = crate::InformerHandle<Raw>;

fn version(revision: u64) -> ResourceVersion {
    ResourceVersion::from_revision(revision)
}

#[tokio::test(start_paused = true)]
async fn wait_synced_says_what_keeps_it() {
    let mut script = Script::new();
    let handle = script.raw();
    script
        .accept()
        .await
        .answer(403, "application/json")
        .send(r#"{"code":403}"#)
        .end();
    let Err(SyncError::TimedOut { doing, .. }) = handle.wait_synced(SYNC).await else {
        panic!("it cannot be synced");
    };
    assert!(doing.contains("403"), "{doing}");
    handle.stop();
    assert_eq!(handle.wait_synced(SYNC).await, Err(SyncError::Stopped));
}

#[tokio::test(start_paused = true)]
async fn the_last_change_before_a_silence_is_counted_soon() {
    let mut script = Script::new();
    let (handle, mut conn) = synced(&mut script).await;
    // At once after the sync, whose counters were published this moment.
    conn.send(event("ADDED", &pod("c", 11)));
    handle.wait_for(&version(11), SYNC).await;
    let mut state = handle.watch_state();
    let counted = state.wait_for(|state| state.objects == 3 && state.stats.events == 1);
    let counted = tokio::time::timeout(Duration::from_secs(1), counted).await;
    assert!(counted.is_ok(), "{:?}", handle.state());
    handle.stop();
}

#[tokio::test(start_paused = true)]
async fn inv_s17_wait_for_has_its_outcomes() {
    let mut script = Script::new();
    let (handle, mut conn) = synced(&mut script).await;
    assert_eq!(
        handle.wait_for(&version(10), SYNC).await,
        WaitOutcome::Reached
    );
    assert_eq!(
        handle.wait_for(&version(11), SYNC).await,
        WaitOutcome::TimedOut
    );
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move { handle.wait_for(&version(12), Duration::from_secs(60)).await }
    });
    conn.send(bookmark(12));
    assert_eq!(waiting.await.unwrap(), WaitOutcome::Reached);
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move {
            handle
                .wait_for(&version(500), Duration::from_secs(7200))
                .await
        }
    });
    // The server's version goes back: whoever waits for one of the old history learns of it.
    conn.send(event("ERROR", r#"{"code":410}"#));
    for _ in 0..2 {
        script.accept().await.watch_list(&[pod("a", 2)], 5);
    }
    assert_eq!(waiting.await.unwrap(), WaitOutcome::EpochChanged);
    handle.stop();
    assert_eq!(
        handle.wait_for(&version(900), SYNC).await,
        WaitOutcome::Stopped
    );
}

#[tokio::test(start_paused = true)]
async fn a_subscription_tells_the_state_then_the_changes_coalesced() {
    let mut script = Script::new();
    let (handle, mut conn) = synced(&mut script).await;
    let mut subscription = handle.subscribe();
    let mut first = Vec::new();
    loop {
        match subscription.next().await.unwrap() {
            SubscriptionEvent::Synced => break,
            event => first.push(format!("{event:?}")),
        }
    }
    first.sort();
    assert_eq!(first, ["added default/a@7", "added default/b@8"]);
    for number in 11..30 {
        conn.send(event("MODIFIED", &pod("a", number)));
    }
    conn.send(event("DELETED", &pod("b", 30)));
    shows(&handle, "default/a@29").await;
    assert_eq!(subscription.lag().changes, 20);
    let mut next = [
        format!("{:?}", subscription.next().await.unwrap()),
        format!("{:?}", subscription.next().await.unwrap()),
    ];
    next.sort();
    assert_eq!(
        next,
        ["deleted default/b@8", "updated default/a@29"],
        "one change a key"
    );
    handle.stop();
    assert!(subscription.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn inv_s13_a_subscription_too_far_behind_is_told_to_resync() {
    let mut script = Script::new();
    let handle = start(script.builder::<Raw>().subscription_lag_max(10));
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7), pod("b", 8)], 10);
    handle.wait_synced(SYNC).await.unwrap();
    let mut subscription = handle.subscribe();
    while !matches!(
        subscription.next().await.unwrap(),
        SubscriptionEvent::Synced
    ) {}
    for number in 11..40 {
        conn.send(event("MODIFIED", &pod("a", number)));
    }
    shows(&handle, "default/a@39 default/b@8").await;
    until(&handle, |state| state.stats.events >= 29).await;
    conn.send(event("DELETED", &pod("b", 40)));
    shows(&handle, "default/a@39").await;
    let SubscriptionEvent::Resync(snapshot) = subscription.next().await.unwrap() else {
        panic!("it is told to resync");
    };
    assert_eq!(snapshot.len(), 1);
    assert_eq!(subscription.lag().resyncs, 1);
    conn.send(event("MODIFIED", &pod("a", 41)));
    let next = subscription.next().await.unwrap();
    assert_eq!(
        format!("{next:?}"),
        "updated default/a@41",
        "then changes again"
    );
}

#[tokio::test(start_paused = true)]
async fn handlers_and_indexes_come_and_go_while_it_runs() {
    let mut script = Script::new();
    let (handle, mut conn) = synced(&mut script).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    let handler = move |event: Event<'_, Raw>| {
        seen.lock()
            .unwrap()
            .push(event.entry().object.key().to_owned());
    };
    let id = handle
        .add_handler(HandlerOptions::default(), handler)
        .await
        .unwrap();
    handle
        .add_index("name", |entry, emit| emit(entry.object.name()))
        .await
        .unwrap()
        .unwrap();
    assert!(handle.add_index("name", |_, _| {}).await.unwrap().is_err());
    assert_eq!(handle.store().by_index("name", "b").unwrap().len(), 1);
    assert!(handle.store().by_index("colour", "b").is_err());
    conn.send(event("ADDED", &pod("c", 11)));
    shows(&handle, "default/a@7 default/b@8 default/c@11").await;
    until(&handle, |state| {
        state.handlers.iter().all(|handler| handler.synced)
    })
    .await;
    assert_eq!(told.lock().unwrap().len(), 3);
    assert!(handle.remove_handler(id, Removal::Drain).await.unwrap());
    assert!(!handle.remove_handler(id, Removal::Drain).await.unwrap());
    conn.send(event("ADDED", &pod("d", 12)));
    shows(&handle, "default/a@7 default/b@8 default/c@11 default/d@12").await;
    assert_eq!(told.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn stopping_closes_the_stream_and_leaves_no_task() {
    let mut script = Script::new();
    let informer = script.builder::<Raw>().build().unwrap();
    let handle = informer.handle();
    let running = tokio::spawn(informer.run());
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7)], 10);
    handle.wait_synced(SYNC).await.unwrap();
    handle.stop();
    running.await.unwrap();
    conn.dropped().await;
    assert!(handle.state().is_stopped());
    assert_eq!(handle.store().len(), 1, "the store remains");
    assert!(handle.resync().await.is_err());
    assert_eq!(script.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn design_4_8_one_stream_serves_all_who_follow_the_same_and_the_last_one_stops_it() {
    let mut script = Script::new();
    let transport: Arc<dyn Transport> = Arc::<ScriptTransport>::clone(&script.transport);
    let factory = Factory::over(transport);
    let scope = || Scope::all(Resource::parse("v1/pods").unwrap());
    let first = factory.informer::<Raw>(scope(), |builder| builder).unwrap();
    let second = factory.informer::<Raw>(scope(), |builder| builder).unwrap();
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7)], 10);
    second.wait_synced(SYNC).await.unwrap();
    assert_eq!((factory.len(), script.pending()), (1, 0));
    let elsewhere = Scope::namespaced(Resource::parse("v1/pods").unwrap(), "x");
    let other = factory
        .informer::<Raw>(elsewhere, |builder| builder)
        .unwrap();
    assert_eq!(
        script.accept().await.path.split('?').next(),
        Some("/api/v1/namespaces/x/pods")
    );
    assert_eq!(factory.len(), 2);
    drop((first, other));
    assert_eq!(factory.len(), 1);
    drop(second);
    conn.dropped().await;
    assert!(factory.is_empty());
}
