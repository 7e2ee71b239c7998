//! Views: other types and fewer objects of one stream (DESIGN 4.8).

use std::sync::Mutex;

use serde::Deserialize;
use tidings_api::Resource;

use super::{script::*, *};
use crate::{
    Event, Factory, InformerHandle, LabelSelector, Lookup, Payload, Raw, SubscriptionEvent,
    ViewBuilder, WaitOutcome,
};

const SYNC: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize)]
struct Pod {
    status: Status,
}

#[derive(Debug, Deserialize)]
struct Status {
    phase: String,
}

fn labelled(name: &str, version: u64, app: &str) -> String {
    let plain = pod(name, version);
    plain.replacen(
        r#""metadata":{"#,
        &format!(r#""metadata":{{"labels":{{"app":"{app}"}},"#),
        1,
    )
}

fn start_view<P: Payload>(view: ViewBuilder<P>) -> InformerHandle<P> {
    let view = view.build().unwrap();
    let handle = view.handle();
    tokio::spawn(view.run());
    handle
}

fn web() -> LabelSelector {
    LabelSelector::parse("app=web").unwrap()
}

#[tokio::test(start_paused = true)]
async fn design_4_8_a_projection_is_fed_by_the_raw_stream() {
    let mut script = Script::new();
    let base = script.raw();
    let by_phase = |entry: &crate::Entry<Arc<Pod>>, emit: &mut dyn FnMut(&str)| {
        if let Some(pod) = entry.effective() {
            emit(&pod.status.phase);
        }
    };
    let view = start_view(base.view::<Arc<Pod>>().index("phase", by_phase));
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7), pod("b", 8)], 10);
    view.wait_synced(SYNC).await.unwrap();
    assert_eq!(view.store().by_index("phase", "Running").unwrap().len(), 2);
    assert_eq!(
        view.store().resource_version(),
        base.store().resource_version()
    );
    conn.send(event("DELETED", &pod("b", 11)));
    let version = ResourceVersion::from_revision(11);
    assert_eq!(view.wait_for(&version, SYNC).await, WaitOutcome::Reached);
    assert_eq!(view.store().len(), 1);
    let state = until(&view, |state| state.objects == 1).await;
    assert!(state.is_synced() && state.summary() == "live");
    assert_eq!(script.pending(), 0, "no other stream");
}

#[tokio::test(start_paused = true)]
async fn a_view_through_labels_follows_who_is_selected() {
    let mut script = Script::new();
    let base = script.raw();
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    let handler = move |event: Event<'_, Raw>| {
        let what = match event {
            Event::Added { .. } => "added",
            Event::Updated { .. } => "updated",
            Event::Deleted { .. } => "deleted",
            Event::Poisoned { .. } => "poisoned",
        };
        let line = format!("{what} {:?}", event.entry().object);
        seen.lock().unwrap().push(line);
    };
    let view = start_view(base.view::<Raw>().labels(web()).handler(handler));
    let mut conn = script.accept().await;
    conn.watch_list(
        &[
            labelled("a", 7, "web"),
            labelled("b", 8, "api"),
            pod("c", 9),
        ],
        10,
    );
    shows(&view, "default/a@7").await;
    conn.send(event("MODIFIED", &labelled("b", 11, "web")));
    shows(&view, "default/a@7 default/b@11").await;
    conn.send(event("MODIFIED", &labelled("a", 12, "api")));
    shows(&view, "default/b@11").await;
    conn.send(event("MODIFIED", &labelled("a", 13, "api")));
    conn.send(event("MODIFIED", &labelled("b", 14, "web")));
    shows(&view, "default/b@14").await;
    let told = told.lock().unwrap().clone();
    assert_eq!(
        told,
        [
            "added default/a@7",
            "added default/b@11",
            "deleted default/a@7",
            "updated default/b@14"
        ]
    );
    assert_eq!(base.store().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn inv_s11_what_one_view_cannot_decode_hurts_nobody_else() {
    let mut script = Script::new();
    let base = script.raw();
    let view = start_view(base.view::<Arc<Pod>>());
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7), pod("b", 8)], 10);
    view.wait_synced(SYNC).await.unwrap();
    conn.send(event(
        "MODIFIED",
        &pod_with("a", 11, r#","status":{"phase":7}"#),
    ));
    shows(&view, "default/a@11 default/b@8").await;
    let Lookup::Undecodable { last_good, .. } = view.store().lookup("default/a") else {
        panic!("it cannot be decoded");
    };
    assert_eq!(last_good.unwrap().status.phase, "Running");
    assert!(matches!(
        base.store().lookup("default/a"),
        Lookup::Present(_)
    ));
    let state = until(&view, |state| state.poisoned_items == 1).await;
    assert_eq!((state.objects, base.state().poisoned_items), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_views_counters_are_held_back_but_the_last_change_before_a_silence_is_counted_soon() {
    let mut script = Script::new();
    let base = script.raw();
    let view = start_view(base.view::<Raw>());
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7)], 10);
    view.wait_synced(SYNC).await.unwrap();
    let mut state = view.watch_state();
    let mut published = 0;
    for number in 11..61 {
        conn.send(event("ADDED", &pod(&format!("b{number}"), number)));
        let version = ResourceVersion::from_revision(number);
        assert_eq!(view.wait_for(&version, SYNC).await, WaitOutcome::Reached);
        published += u32::from(state.has_changed().unwrap());
        state.borrow_and_update();
    }
    assert!(published < 10, "{published} states for 50 events");
    let counted = state.wait_for(|state| state.objects == 51 && state.stats.events == 50);
    let counted = tokio::time::timeout(Duration::from_millis(250), counted).await;
    assert!(counted.is_ok(), "{:?}", view.state());
}

/// What both builders take reaches the machine in both: indexes, handlers and the lag.
#[tokio::test(start_paused = true)]
async fn an_informer_and_a_view_are_built_alike() {
    let by_name = |entry: &crate::Entry<Raw>, emit: &mut dyn FnMut(&str)| {
        emit(entry.object.name());
    };
    let told = Arc::new(Mutex::new(0));
    let count = || {
        let told = Arc::clone(&told);
        move |_: Event<'_, Raw>| *told.lock().unwrap() += 1
    };
    let mut script = Script::new();
    let twice = script.builder().index("n", by_name).index("n", by_name);
    let name = "n".to_owned();
    let refused = Some(crate::BuildError::DuplicateIndex { name });
    assert_eq!(twice.build().err(), refused);
    let builder = script.builder().index("n", by_name).handler(count());
    let base = start(builder.subscription_lag_max(2));
    let twice = base.view().index("n", by_name).index("n", by_name);
    assert_eq!(twice.build().err(), refused);
    let view = base.view().index("n", by_name).handler(count());
    let view = start_view(view.subscription_lag_max(2));
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7)], 10);
    for handle in [&base, &view] {
        shows(handle, "default/a@7").await;
        assert_eq!(handle.store().by_index("n", "a").unwrap().len(), 1);
    }
    let mut subscriptions = [base.subscribe(), view.subscribe()];
    for subscription in &mut subscriptions {
        while !matches!(
            subscription.next().await.unwrap(),
            SubscriptionEvent::Synced
        ) {}
    }
    for number in 11..21 {
        conn.send(event("MODIFIED", &pod("a", number)));
        let version = ResourceVersion::from_revision(number);
        assert_eq!(view.wait_for(&version, SYNC).await, WaitOutcome::Reached);
    }
    for (handle, subscription) in [&base, &view].into_iter().zip(&mut subscriptions) {
        until(handle, |state| state.stats.events == 10).await;
        let next = subscription.next().await.unwrap();
        assert!(matches!(next, SubscriptionEvent::Resync(_)), "{next:?}");
    }
    assert_eq!(*told.lock().unwrap(), 22);
}

#[tokio::test(start_paused = true)]
async fn a_view_ends_with_its_base_and_says_so() {
    for is_dropped in [false, true] {
        let mut script = Script::new();
        let informer = script.builder::<Raw>().build().unwrap();
        let base = informer.handle();
        let running = tokio::spawn(informer.run());
        let view = base.view::<Raw>().build().unwrap();
        let handle = view.handle();
        let ended = tokio::spawn(view.run());
        let mut conn = script.accept().await;
        conn.watch_list(&[pod("a", 7)], 10);
        let mut subscription = handle.subscribe();
        let first = subscription.next().await;
        assert!(
            matches!(first, Some(SubscriptionEvent::Added(_))),
            "{first:?}"
        );
        if is_dropped {
            running.abort();
        } else {
            base.stop();
        }
        ended.await.unwrap();
        assert!(matches!(
            subscription.next().await,
            Some(SubscriptionEvent::Synced)
        ));
        assert!(subscription.next().await.is_none());
        assert!(handle.state().is_stopped());
        assert_eq!(handle.store().len(), 1, "the store remains");
    }
}

#[tokio::test(start_paused = true)]
async fn a_view_is_stopped_alone() {
    let mut script = Script::new();
    let base = script.raw();
    let view = base.view::<Raw>().build().unwrap();
    let handle = view.handle();
    let ended = tokio::spawn(view.run());
    let mut conn = script.accept().await;
    conn.watch_list(&[pod("a", 7)], 10);
    shows(&handle, "default/a@7").await;
    handle.stop();
    ended.await.unwrap();
    conn.send(event("ADDED", &pod("b", 11)));
    shows(&base, "default/a@7 default/b@11").await;
    assert_eq!(handle.store().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn design_4_8_the_factory_opens_one_stream_for_types_and_selectors() {
    let mut script = Script::new();
    let transport: Arc<dyn Transport> = Arc::<ScriptTransport>::clone(&script.transport);
    let factory = Factory::over(transport);
    let scope = || Scope::all(Resource::parse("v1/pods").unwrap());
    let typed = factory
        .view::<Arc<Pod>>(scope(), None, |view| view)
        .unwrap();
    let selected = factory
        .view::<Raw>(scope(), Some(web()), |view| view)
        .unwrap();
    let again = factory
        .view::<Raw>(scope(), Some(web()), |view| view)
        .unwrap();
    let raw = factory.informer::<Raw>(scope(), |stream| stream).unwrap();
    assert_eq!((factory.streams(), factory.len()), (1, 3));
    let mut conn = script.accept().await;
    conn.watch_list(&[labelled("a", 7, "web"), pod("b", 8)], 10);
    shows(&typed, "default/a@7 default/b@8").await;
    shows(&selected, "default/a@7").await;
    shows(&again, "default/a@7").await;
    shows(&raw, "default/a@7 default/b@8").await;
    assert_eq!(script.pending(), 0, "no other stream");
    drop((raw, selected, again));
    conn.send(event("MODIFIED", &pod("b", 11)));
    shows(&typed, "default/a@7 default/b@11").await;
    drop(typed);
    conn.dropped().await;
    assert_eq!((factory.streams(), factory.len()), (0, 0));
}
