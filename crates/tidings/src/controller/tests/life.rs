//! Beginning, leading, ending.

use serde_json::json;
use tokio::sync::watch;

use super::*;
use crate::controller::{
    leading::{Leading, Term},
    source::Boxed,
};

#[tokio::test(start_paused = true)]
async fn nothing_is_reconciled_before_every_source_is_synced() {
    let (maps, secrets) = (Feed::new("v1/configmaps"), Feed::silent("v1/secrets"));
    maps.put(config_map("a", &json!({})));
    let builder = of(&maps.informer()).source(Source::new(&secrets.informer()));
    let mut running = Running::start(builder, |_| async { Ok(Action::Done) });
    running.is_quiet(Duration::from_secs(5)).await;
    let waiting_for = vec!["secrets.v1".to_owned()];
    let phase = running.handle.phase();
    assert!(matches!(phase, Phase::Syncing { .. }), "{phase}");
    running.phase(Phase::Syncing { waiting_for }).await;
    secrets.speak();
    assert_eq!(running.next().await.0, "default/a");
    running.phase(Phase::Running).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_what_is_queued_and_takes_nothing_new() {
    let feed = Feed::new("v1/configmaps");
    for at in 0..5 {
        feed.put(config_map(&format!("a{at}"), &json!({})));
    }
    let informer = feed.informer();
    let mut running = Running::start(of(&informer), |_| async {
        pass(Duration::from_secs(2)).await;
        Ok(Action::Again(Duration::from_secs(1)))
    });
    running.next().await;
    let handle = running.handle.clone();
    let _ = running.shutdown.take().unwrap().send(());
    running.phase(Phase::Draining).await;
    feed.put(config_map("late", &json!({})));
    let mut keys = running.next_keys(4).await;
    keys.sort();
    assert!(!keys.contains(&"default/late".to_owned()));
    assert_eq!(running.ended.await.unwrap(), Ok(()));
    assert_eq!(handle.phase(), Phase::Stopped);
    assert_eq!(handle.stats().again, 5);
    assert!(
        informer
            .watch_progress()
            .wait_for(|it| it.stopped)
            .await
            .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_has_a_limit_and_says_what_is_left() {
    let feed = Feed::new("v1/configmaps");
    feed.put(config_map("a", &json!({})));
    feed.put(config_map("b", &json!({})));
    let dropped = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&dropped);
    let mut running = Running::start(of(&feed.informer()), move |_| {
        let guard = OnDrop(Arc::clone(&seen));
        async move {
            let _guard = guard;
            std::future::pending::<Outcome>().await
        }
    });
    running.next().await;
    let started = Instant::now();
    let left = ControllerError::ShutdownLimit {
        queued: 1,
        running: 1,
    };
    assert_eq!(running.shut_down().await, Err(left));
    assert_eq!(started.elapsed().as_secs(), 30);
    assert_eq!(dropped.load(SeqCst), 1, "the reconcile was dropped");
}

struct OnDrop(Arc<AtomicUsize>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_stops_ends_the_controller() {
    let feed = Feed::new("v1/configmaps");
    let informer = feed.informer();
    let running = Running::start(of(&informer), |_| async { Ok(Action::Done) });
    running.phase(Phase::Running).await;
    informer.stop();
    let ended = timeout(Duration::from_secs(60), running.ended).await;
    let error = ended.unwrap().unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the informer of configmaps.v1 has stopped under its controller"
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_a_controller_drops_its_workers() {
    let feed = Feed::new("v1/configmaps");
    feed.put(config_map("a", &json!({})));
    let dropped = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&dropped);
    let mut running = Running::start(of(&feed.informer()), move |_| {
        let guard = OnDrop(Arc::clone(&seen));
        async move {
            let _guard = guard;
            std::future::pending::<Outcome>().await
        }
    });
    running.next().await;
    running.ended.abort();
    let _ = (&mut running.ended).await;
    running.until(|stats| stats.active == 0).await;
    assert_eq!(dropped.load(SeqCst), 1);
}

/// An election that the test decides.
struct Seat {
    term: watch::Receiver<Option<u32>>,
    released: Arc<AtomicUsize>,
    informer: InformerHandle<Raw>,
}

impl Leading for Seat {
    fn term(&self) -> Option<Term> {
        let fencing = (*self.term.borrow())?;
        let term = self.term.clone();
        Some(Term::new(fencing, move || *term.borrow() == Some(fencing)))
    }

    fn lead(&mut self) -> Boxed<'_, Term> {
        Box::pin(async {
            self.term.wait_for(Option::is_some).await.unwrap();
            Leading::term(self).unwrap()
        })
    }

    fn lost(&mut self, fencing: u32) -> Boxed<'_, ()> {
        Box::pin(async move {
            let _ = self.term.wait_for(|term| *term != Some(fencing)).await;
        })
    }

    fn release(&mut self) -> Boxed<'_, ()> {
        Box::pin(async {
            // C4: the informers have been told to stop before.
            let stopped = self
                .informer
                .watch_progress()
                .wait_for(|it| it.stopped)
                .await
                .is_ok();
            self.released.fetch_add(usize::from(stopped), SeqCst);
        })
    }
}

#[tokio::test(start_paused = true)]
async fn ctl_l19_a_standby_keeps_its_store_and_works_when_it_leads() {
    let feed = Feed::new("v1/configmaps");
    feed.put(config_map("a", &json!({})));
    let informer = feed.informer();
    let (vote, term) = watch::channel(None);
    let released = Arc::new(AtomicUsize::new(0));
    let mut builder = of(&informer);
    builder.leading = Leadership::of(Seat {
        term,
        released: Arc::clone(&released),
        informer: informer.clone(),
    });
    let mut running = Running::start(builder, |request| async move {
        assert!(request.fencing().is_some());
        if request.fencing() == Some(1) {
            // The first leadership ends under it.
            std::future::pending::<()>().await;
        }
        Ok(Action::Done)
    });
    running.phase(Phase::Standby).await;
    feed.put(config_map("b", &json!({})));
    running.is_quiet(Duration::from_secs(600)).await;
    assert_eq!(informer.store().len(), 2, "the store is live");
    vote.send_replace(Some(1));
    let first = running.next().await.0;
    // Lost: the reconcile is dropped at once, and nothing is done meanwhile.
    vote.send_replace(None);
    running.phase(Phase::Standby).await;
    running
        .until(|stats| stats.dropped == 1 && stats.active == 0)
        .await;
    feed.put(config_map("c", &json!({})));
    running.is_quiet(Duration::from_secs(600)).await;
    // Again ours, under another number: everything that was due is, and what was dropped, too.
    vote.send_replace(Some(7));
    let mut keys = running.next_keys(3).await;
    assert!(keys.contains(&first));
    keys.sort();
    assert_eq!(keys, ["default/a", "default/b", "default/c"]);
    // From one leadership to another without a moment between is a loss, too.
    vote.send_replace(Some(8));
    running.phase(Phase::Running).await;
    assert_eq!(released.load(SeqCst), 0);
    assert_eq!(running.shut_down().await, Ok(()));
    assert_eq!(
        released.load(SeqCst),
        1,
        "released once, after the informers stopped"
    );
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_is_shut_down_leaves_what_is_due_to_the_leader() {
    let feed = Feed::new("v1/configmaps");
    feed.put(config_map("a", &json!({})));
    let informer = feed.informer();
    let (_vote, term) = watch::channel(None);
    let released = Arc::new(AtomicUsize::new(0));
    let mut builder = of(&informer);
    builder.leading = Leadership::of(Seat {
        term,
        released: Arc::clone(&released),
        informer: informer.clone(),
    });
    let running = Running::start(builder, |_| async { Ok(Action::Done) });
    running.phase(Phase::Standby).await;
    let started = Instant::now();
    let handle = running.handle.clone();
    assert_eq!(running.shut_down().await, Ok(()));
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "it does not wait for workers"
    );
    assert_eq!((handle.stats().done, released.load(SeqCst)), (0, 1));
}

/// A leadership whose end by the clock nobody hears of.
struct Deaf(Arc<AtomicBool>);

impl Leading for Deaf {
    fn term(&self) -> Option<Term> {
        let is_valid = Arc::clone(&self.0);
        Some(Term::new(1, move || is_valid.load(SeqCst)))
    }

    fn lead(&mut self) -> Boxed<'_, Term> {
        Box::pin(std::future::pending())
    }

    fn lost(&mut self, _fencing: u32) -> Boxed<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn release(&mut self) -> Boxed<'_, ()> {
        Box::pin(async {})
    }
}

#[tokio::test(start_paused = true)]
async fn a_leadership_whose_end_is_not_heard_of_yet_does_not_spin() {
    let feed = Feed::new("v1/configmaps");
    feed.put(config_map("a", &json!({})));
    let is_valid = Arc::new(AtomicBool::new(true));
    let mut builder = of(&feed.informer());
    builder.leading = Leadership::of(Deaf(Arc::clone(&is_valid)));
    let mut running = Running::start(builder, |_| async {
        Ok(Action::Again(Duration::from_secs(1)))
    });
    running.next().await;
    is_valid.store(false, SeqCst);
    running.is_quiet(Duration::from_secs(11)).await;
    let dropped = running.handle.stats().dropped;
    assert!((1..=1001).contains(&dropped), "looked at {dropped} times");
    is_valid.store(true, SeqCst);
    assert_eq!(running.next().await.0, "default/a", "it was kept");
}

#[tokio::test(start_paused = true)]
async fn a_loss_and_a_shutdown_at_once_drop_the_reconcile() {
    // Which of the two is heard of first is chance.
    for _ in 0..16 {
        let feed = Feed::new("v1/configmaps");
        feed.put(config_map("a", &json!({})));
        let informer = feed.informer();
        let (vote, term) = watch::channel(Some(1));
        let mut builder = of(&informer);
        builder.leading = Leadership::of(Seat {
            term,
            released: Arc::default(),
            informer: informer.clone(),
        });
        let mut running = Running::start(builder, |_| std::future::pending::<Outcome>());
        running.next().await;
        let started = Instant::now();
        // Even if it leads again, it is not what the reconcile began with.
        vote.send_replace(Some(2));
        assert_eq!(running.shut_down().await, Ok(()));
        assert!(started.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_controller_says_so_and_takes_nothing_more() {
    let feed = Feed::new("v1/configmaps");
    let informer = feed.informer();
    let mut running = Running::start(of(&informer), |_| async { Ok(Action::Done) });
    running.phase(Phase::Running).await;
    running.ended.abort();
    let _ = (&mut running.ended).await;
    assert_eq!(running.handle.phase(), Phase::Stopped);
    feed.put(config_map("a", &json!({})));
    pass(Duration::from_secs(1)).await;
    assert_eq!(informer.store().len(), 1, "the informer is left alone");
    assert_eq!(running.handle.queue_stats().tracked, 0);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_stops_is_heard_of_while_another_one_syncs() {
    let (maps, secrets) = (Feed::new("v1/configmaps"), Feed::silent("v1/secrets"));
    let first = maps.informer();
    let builder = of(&first).source(Source::new(&secrets.informer()));
    let running = Running::start(builder, |_| async { Ok(Action::Done) });
    let waiting_for = vec!["secrets.v1".to_owned()];
    running.phase(Phase::Syncing { waiting_for }).await;
    pass(Duration::from_secs(1)).await;
    first.stop();
    let ended = timeout(Duration::from_secs(60), running.ended).await;
    let resource = "configmaps.v1".to_owned();
    let error = ControllerError::SourceStopped { resource };
    assert_eq!(ended.expect("it ends").unwrap(), Err(error));
}

#[tokio::test(start_paused = true)]
async fn reconciles_that_never_wait_leave_the_thread_to_others() {
    let feed = Feed::new("v1/configmaps");
    feed.put(config_map("a", &json!({})));
    let mut running = Running::start(of(&feed.informer()), |_| async {
        Ok(Action::Again(Duration::ZERO))
    });
    running.next().await;
    assert_eq!(running.shut_down().await, Ok(()));
}
