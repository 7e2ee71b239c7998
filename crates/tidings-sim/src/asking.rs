//! Whether what an informer asks for is called for: a list needs a reason, and many requests need many.
//!
//! Does not know why an informer asks: it looks at what the client met on its last stream.
//!
//! A1  Whoever has its state lists again only after an answer, an event or bytes that say so; a stream
//!     that broke, ended or fell silent is no reason (DESIGN 4.1, pr 1.7).
//! A2  Within five minutes there are not many more requests than things that happened (INV-L3).

use std::{collections::VecDeque, time::Duration};

use tidings_api::Instant;
use tidings_engine::reflector::Activity;

use crate::{fault::Fault, link::Asked, world::World};

/// What one informer asked for, and why it may ask for a list.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    /// It has no whole state, or lists already.
    has_state: bool,
    /// Something on the present stream calls for a list.
    is_excused: bool,
    /// It may have learned a wrong kind from a maimed object, and what is right looks wrong to it.
    is_misled: bool,
    /// It may have learned one that it had no reason to doubt: what is wrong looks right to it.
    pub(crate) is_mistaught: bool,
    /// Since when its version is said to lie in the future, on its clock, and whether for long enough.
    future_since: Option<Instant>,
    is_future_over: bool,
    /// When it was told to come again after a while.
    invited: VecDeque<Instant>,
    /// When the present stream was asked for, on the informer's clock.
    opened_at: Instant,
    /// When an answer came last, on the same.
    accepted_at: Instant,
    /// When it asked for what, on the world's clock.
    requests: VecDeque<Instant>,
}

impl World {
    /// A refusal, or an ERROR event: those that are no reason for a list leave the version as it is.
    pub(crate) fn excuse_code(&mut self, index: usize, code: u16) {
        // 504 may say that the version lies in the future.
        let is_none = matches!(code, 401 | 403 | 429) || (code >= 500 && code != 504);
        self.informers[index].asking.is_excused |= !is_none;
    }

    /// Bytes that were maimed: all but a bookmark, which may be lost, may be any event.
    pub(crate) fn excuse_fault(&mut self, index: usize, fault: Fault) {
        let is_bookmark = matches!(fault, Fault::BadBookmark | Fault::LowBookmark);
        let asking = &mut self.informers[index].asking;
        asking.is_excused |= !is_bookmark;
        asking.is_misled |= fault == Fault::WrongKind;
    }

    /// The same; who has seen objects of a kind takes no other for it while it watches (cg-R21).
    pub(crate) fn excuse_maimed(&mut self, index: usize, fault: Fault, asked: Asked) {
        self.excuse_fault(index, fault);
        let informer = &mut self.informers[index];
        let has_seen = asked == Asked::Watch && !informer.pipeline.indexer().is_empty();
        informer.asking.is_mistaught |= fault == Fault::WrongKind && !has_seen;
    }

    /// A refusal that says when to come again: requests that follow such an invitation are no haste,
    /// and at a version of the future nobody asks for longer than half a minute (pr-L6).
    pub(crate) fn note_refusal(&mut self, index: usize, wait: Option<Duration>, is_future: bool) {
        let now = self.now;
        let informer = &mut self.informers[index];
        let local = informer.local(now);
        let asking = &mut informer.asking;
        if wait.is_some_and(|wait| !wait.is_zero()) {
            asking.invited.push_back(now);
        }
        let since = asking.future_since.filter(|_| is_future);
        asking.is_future_over = since.is_some_and(|since| local >= since + FUTURE_MAX);
        if is_future {
            asking.future_since = since.or(Some(local));
        }
    }

    /// A stream stands: its version is none of the future.
    pub(crate) fn note_accepted(&mut self, index: usize) {
        let informer = &mut self.informers[index];
        informer.asking.accepted_at = informer.local(self.now);
        informer.asking.future_since = None;
    }

    /// The server ended a watch by itself: a version that it has no more may be the reason.
    pub(crate) fn excuse_server(&mut self, index: usize) {
        self.informers[index].asking.is_excused = true;
    }

    /// A stream that ended at once may mean that the server will not say 410 (pr-W12).
    pub(crate) fn excuse_short(&mut self, index: usize) {
        let now = self.now;
        let informer = &mut self.informers[index];
        let asking = &informer.asking;
        // On a slow link a stream is short that ends soon after the answer.
        let since = asking.accepted_at.max(asking.opened_at);
        let lived = informer.local(now).saturating_since(since);
        informer.asking.is_excused |= lived < SHORT;
    }

    /// After each turn.
    pub(crate) fn note_state(&mut self, index: usize) {
        let informer = &mut self.informers[index];
        let condition = informer.pipeline.condition();
        // What is not applied yet, as while it is held up, cannot be watched on from.
        let is_applied = condition.resource_version.is_some();
        informer.asking.has_state |= is_applied && condition.activity == Activity::Watching;
    }

    /// A request that is no further page.
    pub(crate) fn check_asked(&mut self, index: usize, asked: Asked) {
        let now = self.now;
        let informer = &mut self.informers[index];
        let local = informer.local(now);
        let asking = &mut informer.asking;
        let is_list = asked != Asked::Watch;
        let is_excused = asking.is_excused || asking.is_misled || self.restores > 0;
        let is_future_over = std::mem::take(&mut asking.is_future_over) && !is_list;
        asking.future_since = asking.future_since.filter(|_| !is_list);
        let is_idle = is_list && asking.has_state && !is_excused;
        asking.has_state &= !is_list;
        asking.is_excused = false;
        asking.opened_at = local;
        asking.requests.push_back(now);
        forget(&mut asking.requests, now);
        forget(&mut asking.invited, now);
        let requests = asking.requests.len().saturating_sub(asking.invited.len());
        if is_idle {
            let condition = self.informers[index].pipeline.condition();
            let said = condition.trouble.map(|trouble| trouble.message);
            let what = format!("a list that nothing called for: {said:?}");
            self.violate("DESIGN-4.1", &format!("i{index}"), what);
        }
        if is_future_over {
            let what = format!("it asks for a version of the future for more than {FUTURE_MAX:?}");
            self.violate("pr-L6", &format!("i{index}"), what);
        }
        forget(&mut self.troubles, now);
        let max = REQUESTS_MAX + self.troubles.len() * REQUESTS_EACH;
        if requests > max {
            let happened = self.troubles.len();
            let what =
                format!("{requests} requests in {WINDOW:?}, in which {happened} things happened");
            self.violate("INV-L3", &format!("i{index}"), what);
        }
    }
}

fn forget(times: &mut VecDeque<Instant>, now: Instant) {
    while times.front().is_some_and(|at| *at + WINDOW < now) {
        times.pop_front();
    }
}

/// Shorter streams count as short, by the reflector's own default.
const SHORT: Duration = Duration::from_secs(1);
/// By the reflector's own default.
const FUTURE_MAX: Duration = Duration::from_secs(30);
const WINDOW: Duration = Duration::from_secs(300);
/// A backoff that begins anew makes some ten requests in that time, twice that with its fallbacks; a
/// version of the future is asked for every second, half a minute long, and that may come twice (pr-L6).
const REQUESTS_MAX: usize = 90;
const REQUESTS_EACH: usize = 4;
