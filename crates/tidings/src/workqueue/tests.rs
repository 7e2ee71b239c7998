//! Workers that wait: wake-ups, timers, drains, cancellation. What the queue decides is tested with it.

use std::{sync::Arc, time::Duration};

use tidings_engine::workqueue::{
    Added, Priority, Reason, WorkQueueConfig, rate_limit::Exponential,
};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use super::*;

type Queue = WorkQueue<Arc<str>>;

fn queue() -> Queue {
    WorkQueue::new(WorkQueueConfig {
        limiter: Box::new(Exponential {
            base: Duration::from_secs(1),
            max: Duration::from_secs(8),
        }),
        ..WorkQueueConfig::default()
    })
}

fn key(name: &str) -> Arc<str> {
    name.into()
}

async fn taken(queue: &Queue) -> Item<'_, Arc<str>> {
    let got = timeout(Duration::from_secs(3600), queue.get()).await;
    got.expect("there is a key").expect("it is not shut down")
}

/// Lets every other task run until all of them wait.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn cg_w4_a_worker_waits_until_a_key_is_added() {
    let queue = queue();
    let worker = tokio::spawn({
        let queue = queue.clone();
        async move { taken(&queue).await.key().to_string() }
    });
    settle().await;
    assert!(!worker.is_finished());
    assert_eq!(queue.add(&key("a")), Added::Queued);
    assert_eq!(worker.await.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn an_item_is_done_when_it_is_dropped_whatever_happens() {
    let queue = queue();
    queue.add(&key("a"));
    let worker = tokio::spawn({
        let queue = queue.clone();
        async move {
            let _item = taken(&queue).await;
            panic!("the worker's own fault");
        }
    });
    assert!(worker.await.unwrap_err().is_panic());
    assert_eq!(queue.stats().processing, 0);
    queue.add(&key("a"));
    let worker = tokio::spawn({
        let queue = queue.clone();
        async move {
            let _item = taken(&queue).await;
            std::future::pending::<()>().await;
        }
    });
    settle().await;
    assert_eq!(queue.stats().processing, 1);
    assert_eq!(queue.add(&key("a")), Added::Marked);
    worker.abort();
    let _ = worker.await;
    assert_eq!((queue.stats().processing, queue.len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn cg_d3_a_worker_that_waits_is_woken_when_a_key_is_due() {
    let queue = queue();
    let started = tokio::time::Instant::now();
    let (told, mut heard) = mpsc::unbounded_channel();
    for _ in 0..3 {
        let (queue, told) = (queue.clone(), told.clone());
        tokio::spawn(async move {
            while let Some(item) = queue.get().await {
                let after = started.elapsed().as_secs();
                told.send((item.key().to_string(), after)).unwrap();
            }
        });
    }
    settle().await;
    queue.add_after(&key("late"), Duration::from_secs(90));
    settle().await;
    // Earlier than what the timekeeper sleeps for.
    queue.add_after(&key("early"), Duration::from_secs(30));
    queue.add_after(&key("early too"), Duration::from_secs(30));
    let mut got = Vec::new();
    for _ in 0..3 {
        got.push(heard.recv().await.unwrap());
    }
    got.sort();
    let wanted = [("early", 30), ("early too", 30), ("late", 90)];
    assert_eq!(got, wanted.map(|(name, after)| (name.to_owned(), after)));
}

#[tokio::test(start_paused = true)]
async fn the_time_is_kept_when_its_keeper_goes() {
    let queue = queue();
    queue.add_after(&key("a"), Duration::from_secs(60));
    let mut keeper = Box::pin(queue.get());
    assert!(futures_poll(&mut keeper).await.is_none());
    let other = tokio::spawn({
        let queue = queue.clone();
        async move { taken(&queue).await.key().to_string() }
    });
    settle().await;
    drop(keeper);
    assert_eq!(other.await.unwrap(), "a");
    // The keeper takes a key, and hands the time on.
    queue.add_after(&key("b"), Duration::from_secs(60));
    let mut keeper = Box::pin(queue.get());
    assert!(futures_poll(&mut keeper).await.is_none());
    let other = tokio::spawn({
        let queue = queue.clone();
        async move { taken(&queue).await.key().to_string() }
    });
    settle().await;
    queue.add(&key("c"));
    queue.add(&key("d"));
    let first = keeper.await.unwrap();
    assert_ne!(**first, *"b");
    let second = other.await.unwrap();
    assert_ne!(second, "b");
    assert_eq!(**taken(&queue).await, *"b");
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_of_a_worker_that_gives_up_goes_to_another() {
    let queue = queue();
    let mut first = Box::pin(queue.get());
    assert!(futures_poll(&mut first).await.is_none());
    let second = tokio::spawn({
        let queue = queue.clone();
        async move { taken(&queue).await.key().to_string() }
    });
    settle().await;
    // The first is woken, since it waits longer, and does not look any more.
    queue.add(&key("a"));
    drop(first);
    let got = timeout(Duration::from_secs(1), second).await;
    assert_eq!(got.expect("it is woken").unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn cg_w5_cg_w6_every_drain_ends_when_everything_is_done() {
    let queue = queue();
    for name in ["a", "b", "c"] {
        queue.add(&key(name));
    }
    let mut drains = JoinSet::new();
    for _ in 0..3 {
        let queue = queue.clone();
        drains.spawn(async move { queue.shut_down_with_drain().await });
    }
    settle().await;
    assert!(drains.try_join_next().is_none(), "nothing is done yet");
    assert_eq!(queue.add(&key("d")), Added::Ignored);
    let mut workers = JoinSet::new();
    for _ in 0..2 {
        let queue = queue.clone();
        workers.spawn(async move {
            let mut count = 0;
            while let Some(_item) = queue.get().await {
                let later = tokio::time::Instant::now() + Duration::from_secs(5);
                tokio::time::sleep_until(later).await;
                count += 1;
            }
            count
        });
    }
    let ended = timeout(Duration::from_secs(60), async {
        while drains.join_next().await.is_some() {}
        workers.join_all().await.into_iter().sum::<u32>()
    });
    assert_eq!(ended.await.expect("all of them end"), 3);
    // A drain of what is drained ends at once.
    queue.shut_down_with_drain().await;
}

#[tokio::test(start_paused = true)]
async fn cg_w5_a_shutdown_ends_a_drain_that_nobody_works_for() {
    let queue = queue();
    queue.add(&key("a"));
    let drain = tokio::spawn({
        let queue = queue.clone();
        async move { queue.shut_down_with_drain().await }
    });
    settle().await;
    assert!(!drain.is_finished());
    queue.shut_down();
    timeout(Duration::from_secs(1), drain)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_can_be_the_end_of_a_drain() {
    let queue = queue();
    queue.add(&key("a"));
    let drain = tokio::spawn({
        let queue = queue.clone();
        async move { queue.shut_down_with_drain().await }
    });
    settle().await;
    assert!(queue.cancel("a"));
    timeout(Duration::from_secs(1), drain)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failed_key_comes_back_later_each_time_until_it_is_forgotten() {
    let queue = queue();
    queue.add_with(&key("a"), Priority::High);
    for delay in [1, 2, 4] {
        let item = taken(&queue).await;
        assert_eq!(item.priority(), Priority::High);
        assert_eq!(item.retry(), Some(Duration::from_secs(delay)));
    }
    assert_eq!(queue.num_requeues("a"), 3);
    let item = taken(&queue).await;
    assert_eq!(item.reason(), Reason::Retry(3));
    item.forget();
    assert_eq!(queue.num_requeues("a"), 0);
    assert_eq!(queue.stats().tracked, 0);
}

#[test]
fn threads_wait_as_tasks_do() {
    let queue = WorkQueue::<Arc<str>>::new(WorkQueueConfig::default());
    const KEYS: usize = 2_000;
    let worked: usize = thread::scope(|scope| {
        let work = || {
            let mut count = 0;
            while let Some(item) = queue.get_blocking() {
                count += usize::from(item.key().starts_with("key"));
            }
            count
        };
        let workers = [(); 3].map(|()| scope.spawn(work));
        for at in 0..KEYS {
            let key = key(&format!("key-{at}"));
            if at % 2 == 0 {
                queue.add(&key);
            } else {
                queue.add_after(&key, Duration::from_micros(at as u64 % 7 * 100 + 1));
            }
        }
        // Nothing may be delayed any more when the queue is shut down: that would drop it.
        while queue.stats().delayed > 0 {
            thread::yield_now();
        }
        queue.shut_down();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum()
    });
    assert_eq!(worked, KEYS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_last_change_is_worked_on_after_it_happened() {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    const KEYS: usize = 64;
    const CHANGES: usize = 20_000;
    let queue = WorkQueue::<usize>::new(WorkQueueConfig::default());
    let desired: Arc<Vec<AtomicU64>> = Arc::new((0..KEYS).map(|_| AtomicU64::new(0)).collect());
    let seen: Arc<Vec<AtomicU64>> = Arc::new((0..KEYS).map(|_| AtomicU64::new(0)).collect());
    let busy: Arc<Vec<AtomicU64>> = Arc::new((0..KEYS).map(|_| AtomicU64::new(0)).collect());
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        let (queue, desired, seen, busy) =
            (queue.clone(), desired.clone(), seen.clone(), busy.clone());
        workers.spawn(async move {
            while let Some(item) = queue.get().await {
                let at = *item.key();
                assert_eq!(busy[at].fetch_add(1, SeqCst), 0, "cg-W1: one worker a key");
                seen[at].store(desired[at].load(SeqCst), SeqCst);
                tokio::task::yield_now().await;
                busy[at].fetch_sub(1, SeqCst);
            }
        });
    }
    let mut producers = JoinSet::new();
    for producer in 0..4_usize {
        let (queue, desired) = (queue.clone(), desired.clone());
        producers.spawn(async move {
            for change in 0..CHANGES {
                let at = (change * 7 + producer) % KEYS;
                desired[at].fetch_add(1, SeqCst);
                match change % 3 {
                    0 => queue.add_after(&at, Duration::from_micros(50)),
                    _ => queue.add(&at),
                };
                if change % 64 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    let all = async {
        producers.join_all().await;
        while queue.stats().delayed > 0 {
            tokio::task::yield_now().await;
        }
        queue.shut_down_with_drain().await;
        workers.join_all().await;
    };
    timeout(Duration::from_secs(60), all)
        .await
        .expect("nobody is left asleep");
    for at in 0..KEYS {
        assert_eq!(seen[at].load(SeqCst), desired[at].load(SeqCst), "key {at}");
    }
}

/// Polls once.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| match Pin::new(&mut *future).poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
