//! Handlers that come, go and hear while the informer publishes.

use std::sync::{Arc, Mutex, MutexGuard};

use super::{
    history::{Content, History, id},
    sleeper::block_on,
    stage::{Handle, informer},
};
use crate::{
    checker::spawn,
    fanout::{Event, Handler, HandlerId, Removal},
    payload::Raw,
    sync::watch,
};

/// INV-S9: readers see a change before a handler is told of it.
pub fn who_is_told_finds_it_in_the_store() {
    let (mut informer, handle) = informer(&["+a@1", "*a@2", "*a@3"], 1, None);
    let (told, mut hears) = watch::channel(0);
    informer.add_handler(move |event: Event<'_, Raw>| told.send_replace(id(event.entry()).1));
    let listener = spawn(move || {
        while block_on(hears.changed()).is_ok() {
            let version = *hears.borrow_and_update();
            let stored = handle.store.get("a").expect("nobody deletes it");
            assert!(id(&stored).1 >= version, "it was told too early");
        }
    });
    informer.play();
    informer.shut_down();
    listener.join().expect("it ends");
}

/// K1: who is told how far the store is finds it there.
pub fn progress_never_runs_ahead_of_the_store() {
    let (mut informer, mut handle) = informer(&["+a@1", "*a@2", "+b@3"], 1, None);
    let reader = spawn(move || {
        while block_on(handle.progress.changed()).is_ok() {
            let progress = handle.progress.borrow_and_update();
            let snapshot = handle.store.snapshot();
            assert!(snapshot.generation() >= progress.generation);
            if let Some(version) = &progress.resource_version {
                let seen = snapshot.resource_version();
                assert!(seen.is_some_and(|seen| seen.is_at_least(version)));
            }
            if progress.stopped {
                return snapshot.len();
            }
        }
        0
    });
    informer.play();
    informer.shut_down();
    assert_eq!(reader.join().expect("it ends"), 2, "the last is told too");
}

/// H2 of the fan-out: who comes at any time is told everything once, and is level at the end.
pub fn a_late_handler_is_told_everything_once() {
    // So many changes of one object that they are still being told when the late one is level.
    let script = [
        "+a@1", "+b@2", "*a@3", "*a@4", "*a@5", "*a@6", "*a@7", "*a@8", "-b@9",
    ];
    let (mut informer, handle) = informer(&script, 2, None);
    let (early, late) = (Log::default(), Log::default());
    informer.add_handler(early.handler());
    let user = spawn({
        let handler = late.handler();
        move || {
            assert!(handle.add_handler(handler).is_ok(), "nobody has stopped it");
            handle.stop_at(9);
        }
    });
    let content = informer.run();
    user.join().expect("it ends");
    assert_eq!(early.known(), content);
    assert_eq!(early.events(), script.len(), "each change once");
    assert_eq!(late.known(), content, "H2: a change was lost");
    assert!(late.events() <= script.len(), "H2: a change came twice");
}

/// Who was removed, and told so, is not called any more.
pub fn a_removed_handler_is_told_no_more() {
    a_handler_goes(Removal::Drop);
}

/// The same for one who wants to hear what is queued.
pub fn a_drained_handler_is_told_no_more() {
    a_handler_goes(Removal::Drain);
}

fn a_handler_goes(removal: Removal) {
    let (mut informer, handle) = informer(&["+a@1", "+b@2", "*a@3", "-b@4"], 2, None);
    let log = Log::default();
    let id = informer.add_handler(log.handler());
    let user = spawn({
        let log = log.clone();
        move || {
            assert_eq!(handle.remove_handler(id, removal), Ok(true));
            log.close();
            assert_eq!(handle.remove_handler(id, removal), Ok(false), "it is gone");
            handle.stop_at(4);
        }
    });
    informer.run();
    user.join().expect("it ends");
    drop(log.told());
}

/// One comes and goes while another one comes.
pub fn handlers_come_and_go() {
    let (informer, handle) = informer(&["+a@1", "+b@2", "*a@3", "-b@4"], 1, None);
    let (stays, goes) = (Log::default(), Log::default());
    let user = spawn({
        let (stays, goes) = (stays.clone(), goes.clone());
        move || {
            let id = handle.add_handler(goes.handler()).expect("it runs");
            handle.add_handler(stays.handler()).expect("it runs");
            assert_eq!(handle.remove_handler(id, Removal::Drop), Ok(true));
            goes.close();
            handle.stop_at(4);
        }
    });
    let content = informer.run();
    user.join().expect("it ends");
    assert_eq!(stays.known(), content);
    drop(goes.told());
}

/// A command is answered or refused, and never forgotten, when somebody else stops the informer.
pub fn a_command_is_answered_or_refused() {
    let (informer, handle) = informer(&["+a@1"], 1, None);
    let handle = Arc::new(handle);
    let log = Log::default();
    let user = spawn({
        let (handle, log) = (Arc::clone(&handle), log.clone());
        move || user(&handle, &log)
    });
    let stopper = spawn(move || handle.stop());
    informer.run();
    user.join().expect("it ends");
    stopper.join().expect("it ends");
    drop(log.told());
}

fn user(handle: &Handle, log: &Log) -> Option<HandlerId> {
    let id = handle.add_handler(log.handler()).ok()?;
    if handle.remove_handler(id, Removal::Drop).ok()? {
        log.close();
    }
    Some(id)
}

/// For shuttle alone: many of everything.
pub fn a_crowd_of_handlers() {
    let script = [
        "+a@1", "+b@2", "+c@3", "*a@4", "-b@5", "+d@6", "*c@7", "+b@8", "*a@9", "-d@10", "*b@11",
    ];
    let (mut informer, handle) = informer(&script, 3, None);
    let early = Log::default();
    informer.add_handler(early.handler());
    let handle = Arc::new(handle);
    let users = [Removal::Drop, Removal::Drain, Removal::Drop].map(|removal| {
        let handle = Arc::clone(&handle);
        spawn(move || {
            let (stays, goes) = (Log::default(), Log::default());
            let id = handle.add_handler(goes.handler()).expect("it runs");
            handle.add_handler(stays.handler()).expect("it runs");
            assert_eq!(handle.remove_handler(id, removal), Ok(true));
            goes.close();
            (stays, goes)
        })
    });
    // The last one stops it.
    let stopper = spawn(move || {
        let logs = users.map(|user| user.join().expect("it ends"));
        handle.stop_at(11);
        logs
    });
    let content = informer.run();
    assert_eq!(early.known(), content);
    assert_eq!(early.events(), script.len(), "each change once");
    for (stays, goes) in stopper.join().expect("it ends") {
        assert_eq!(stays.known(), content);
        drop(goes.told());
    }
}

/// What a handler was told. It is no part of what is checked, so it takes no steps. A handler's panic is
/// caught by the fan-out, but it poisons the lock, so that whoever looks here fails.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    history: History,
    is_closed: bool,
}

impl Log {
    fn handler(&self) -> impl Handler<Raw> + 'static {
        let log = self.clone();
        move |event: Event<'_, Raw>| {
            let mut told = log.told();
            assert!(!told.is_closed, "it was removed, and is told");
            told.history.hear(&event);
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().expect("a handler was told something wrong")
    }

    fn close(&self) {
        self.told().is_closed = true;
    }

    fn known(&self) -> Content {
        self.told().history.known.clone()
    }

    fn events(&self) -> usize {
        self.told().history.events
    }
}
