//! Subscriptions, which begin and read at any time, while the informer publishes.

use super::{
    history::{Content, History, content},
    sleeper::block_on,
    stage::{Handle, informer},
};
use crate::{
    checker::{Mutex, spawn},
    payload::Raw,
    subscription::Subscription,
};

/// INV-S6, INV-S7: what is told, folded, is the store at last, and nobody sleeps over a change.
pub fn a_subscription_misses_nothing() {
    let (mut informer, handle) = informer(&["+a@1", "+b@2", "*a@3", "-b@4"], 2, None);
    let reader = spawn(move || {
        let history = read(handle.subscribe());
        assert_eq!(history.synced, 1, "once");
        history.known
    });
    informer.play();
    let last = informer.shut_down();
    assert_eq!(reader.join().expect("it ends"), last);
}

/// The same for one that was there before there was anything.
pub fn an_early_subscription_hears_of_the_first_list() {
    let (mut informer, handle) = informer(&["+a@1", "*a@2"], 1, None);
    let subscription = handle.subscribe();
    let reader = spawn(move || read(subscription).known);
    informer.play();
    let last = informer.shut_down();
    drop(handle);
    assert_eq!(reader.join().expect("it ends"), last);
}

/// S2: one that lags too far is told where things stand, and goes on from there.
pub fn a_laggard_is_told_where_things_stand() {
    let (mut informer, handle) = informer(&["+a@1", "+b@2", "*a@3", "-b@4"], 1, Some(1));
    let reader = spawn(move || {
        let history = read(handle.subscribe());
        assert!(history.synced <= 1);
        history.known
    });
    informer.play();
    let last = informer.shut_down();
    assert_eq!(reader.join().expect("it ends"), last);
}

/// S2: what a subscription that is not read pins is let go, whatever it is at.
pub fn a_sleeper_pins_nothing() {
    let (mut informer, handle) = informer(&["+a@1", "+b@2", "*a@3", "*a@4"], 1, Some(1));
    let mut subscription = handle.subscribe();
    let reader = spawn(move || {
        let first = block_on(subscription.next());
        assert!(first.is_some(), "there is something to tell");
        subscription
    });
    informer.play();
    let subscription = reader.join().expect("it ends");
    // A last look, now that the reader sleeps.
    informer.play();
    assert!(subscription.lag().changes <= 4);
    let last = informer.shut_down();
    assert_eq!(content(&handle.store.snapshot()), last);
    drop(subscription);
}

/// A stop is told after everything else.
pub fn a_stop_comes_last() {
    let (informer, handle) = informer(&["+a@1", "*a@2", "+b@3"], 1, None);
    let subscription = handle.subscribe();
    let store = handle.store.clone();
    let reader = spawn(move || read(subscription).known);
    let stopper = spawn(move || handle.stop());
    let last = informer.run();
    stopper.join().expect("it ends");
    assert_eq!(reader.join().expect("it ends"), last);
    assert_eq!(content(&store.snapshot()), last);
}

/// For shuttle alone: many of everything, some of which is cut.
pub fn a_crowd_of_subscriptions() {
    let script = [
        "+a@1", "+b@2", "+c@3", "*a@4", "-b@5", "+d@6", "*c@7", "+b@8", "*a@9", "-d@10", "*b@11",
    ];
    let (mut informer, handle) = informer(&script, 3, Some(4));
    let handle = std::sync::Arc::new(handle);
    let slow = std::sync::Arc::new(Mutex::new(()));
    let readers = [(); 3].map(|()| {
        let (handle, slow) = (handle.clone(), slow.clone());
        spawn(move || read_between(&handle, &slow))
    });
    drop(handle);
    informer.play();
    let last = informer.shut_down();
    for reader in readers {
        assert_eq!(reader.join().expect("it ends"), last);
    }
}

/// Reads everything to the end, and keeps each event for a while.
fn read_between(handle: &Handle, slow: &Mutex<()>) -> Content {
    let mut subscription = handle.subscribe();
    let mut history = History::default();
    while let Some(event) = block_on(subscription.next()) {
        drop(slow.lock());
        history.read(&event);
    }
    history.known
}

fn read(mut subscription: Subscription<Raw>) -> History {
    let mut history = History::default();
    while let Some(event) = block_on(subscription.next()) {
        history.read(&event);
    }
    history
}
